"""The orientation of a picture, as cameras note it in its file (EXIF)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

UPRIGHT, ORIENTATIONS = 1, range(1, 9)
TAG = 0x0112
FORMATS = {1: "B", 3: "H", 4: "I"}
"""The types of whole numbers, by their number in a directory of TIFF."""
FLIPPED = ([], [1], [0, 1], [0], [], [0], [0, 1], [1])
"""The axes that the orientations 1 to 8 mirror; those from `TRANSPOSED` on exchange rows and columns after that."""
TRANSPOSED = 5
PREFIX = b"Exif\x00\x00"


def orientation(content: bytes) -> int:
    """How the stored image is to be turned, 1 to 8; 1, as it is, where the file says nothing or no sense.

    Args:
        content: Of a JPEG, PNG, WebP or any other file.
    """
    for start, blocks in BLOCKS.items():
        if content.startswith(start):
            try:
                return next(filter(None, map(_orientation_of, blocks(content))), UPRIGHT)
            except (struct.error, IndexError):
                return UPRIGHT
    return UPRIGHT


def _in_jpeg(content: bytes) -> Iterator[bytes]:
    place = 2
    while content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:  # fills up
            place += 1
            continue
        if marker in (0xD9, 0xDA):  # the end, or the scan
            return
        [length] = struct.unpack_from(">H", content, place + 2)
        if marker == 0xE1 and content.startswith(PREFIX, place + 4):
            yield content[place + 4 + len(PREFIX) : place + 2 + length]
        place += 2 + length


def _in_png(content: bytes) -> Iterator[bytes]:
    place = 8
    while place < len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        if kind == b"eXIf":
            yield content[place + 8 : place + 8 + length]
        place += 12 + length


def _in_webp(content: bytes) -> Iterator[bytes]:
    place = 12
    while place < len(content):
        kind, length = struct.unpack_from("<4sI", content, place)
        if kind == b"EXIF":
            yield content[place + 8 : place + 8 + length].removeprefix(PREFIX)
        place += 8 + length + length % 2


BLOCKS: dict[bytes, Callable[[bytes], Iterator[bytes]]] = {
    b"\xff\xd8\xff": _in_jpeg,
    b"\x89PNG\r\n\x1a\n": _in_png,
    b"RIFF": _in_webp,
}
"""From the first bytes of a file to the blocks of EXIF in such a file."""


def _orientation_of(block: bytes) -> int | None:
    """What the first directory of a block says."""
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return None
    [start] = struct.unpack_from(f"{order}I", block, 4)
    [entries] = struct.unpack_from(f"{order}H", block, start)
    for place in range(start + 2, start + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", block, place)
        if tag == TAG:
            found = struct.unpack_from(order + FORMATS[kind], block, place + 8)[0] if kind in FORMATS and count else 0
            return found if found in ORIENTATIONS else None
    return None
