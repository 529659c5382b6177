"""The formats of picture files: how they begin, and what Pillow decodes of them, whatever the framework."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np

JPEG_START = b"\xff\xd8\xff"
PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_END = b"IEND"
PILLOW_FORMATS = ("WEBP", "BMP", "GIF")
"""What Pillow decodes. TensorFlow takes the palette of a BMP for grays, and refuses many a WebP."""
RATIOS = (2, 4, 8)
"""The factors by which a JPEG can be decoded smaller, at less cost."""


def decode_with_pillow(encoded: bytes) -> np.ndarray:
    """uint8 [height, width, 3] of the bytes of a WebP, BMP or GIF file.

    Raises:
        ValueError: if it is none, or damaged.
    """
    # Imported late: Pillow is an extra, and only these files need it.
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded), formats=PILLOW_FORMATS) as image:
            return np.asarray(image.convert("RGB"))
    except Exception as error:  # of whatever kind: each format has its own
        raise ValueError(f"Pillow cannot decode the image: {error}") from error


def critical_chunks(png: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """What the pixels of a PNG file need: neither notes nor what follows its end.

    Yields:
        Type and data of each chunk.

    Raises:
        ValueError: if the end is missing, or a checksum is wrong.
    """
    place, kind, content = len(PNG_START), b"", memoryview(png)
    while kind != PNG_END:
        try:
            length, kind = struct.unpack_from(">I4s", png, place)
            [checksum] = struct.unpack_from(">I", png, place + 8 + length)
        except struct.error as error:
            raise ValueError("the end is missing") from error
        if not kind[0] & 0x20:  # begins with a capital letter
            if zlib.crc32(content[place + 4 : place + 8 + length]) != checksum:
                raise ValueError("a checksum is wrong")
            yield kind, content[place + 8 : place + 8 + length]
        place += 12 + length
