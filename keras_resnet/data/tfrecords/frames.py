"""Records in a TFRecord file: the length, its checksum, the data, and their checksum."""

from __future__ import annotations

import functools
import os
import resource
from collections.abc import Iterator

from keras_resnet.host import storage

HEADER, FOOTER = 12, 4
"""Bytes of a record before its data (the length and its checksum) and after (the checksum of the data)."""
AT_ONCE = 1 << 18
"""Bytes of a file far away that are asked for before the length of the record is known."""
BUFFER = 1 << 22
"""Bytes that a scan reads at a time."""
OPEN_SHARE = 4
"""The files that stay open are one of so many that a process may have open."""
ROTATION, OFFSET = 15, 0xA282EAD8
"""A checksum is rotated by so many bits, and the offset added to it."""


class DamagedRecordError(ValueError):
    """A record is damaged, or cut.

    Args:
        kind: `"corrupted"` or `"truncated"`.
        byte: Of the file, at which that shows.
    """

    def __init__(self, kind: str, byte: int) -> None:
        super().__init__(kind, byte)
        self.kind, self.byte = kind, byte

    def __str__(self) -> str:
        return f"{self.kind} record at {self.byte}"


def masked_checksum(content: bytes | memoryview) -> int:
    """The CRC-32C of bytes, as TFRecord files hold it."""
    # Imported late: an extra, and only records need it.
    from google_crc32c import value

    found = value(content)
    return ((found >> ROTATION | found << 32 - ROTATION) + OFFSET) & 0xFFFFFFFF


def read(path: str, offset: int) -> bytes:
    """The data of the record that begins at a byte of a file.

    Raises:
        DamagedRecordError: if it is damaged or cut.
        OSError: if the file cannot be read.
    """
    begin = read_part(path, offset, AT_ONCE if storage.is_url(path) else HEADER)
    length = length_in(begin[:HEADER], offset)
    rest = HEADER + length + FOOTER - len(begin)
    content = begin + read_part(path, offset + len(begin), rest) if rest > 0 else begin
    return data_in(memoryview(content)[HEADER : HEADER + length + FOOTER], length, offset)


def length_in(header: bytes | memoryview, offset: int) -> int:
    """The length that the header of the record at a byte tells, in bytes.

    Raises:
        DamagedRecordError: if it is damaged or cut.
    """
    if len(header) < HEADER:
        raise DamagedRecordError("truncated", offset)
    if masked_checksum(bytes(header[:8])) != int.from_bytes(header[8:], "little"):
        raise DamagedRecordError("corrupted", offset)
    return int.from_bytes(header[:8], "little")


def data_in(rest: memoryview, length: int, offset: int) -> bytes:
    """The data, of so many bytes, at the beginning of what follows the header of the record at a byte.

    Raises:
        DamagedRecordError: if they are damaged or cut.
    """
    if len(rest) < length + FOOTER:
        raise DamagedRecordError("truncated", offset)
    data = bytes(rest[:length])
    if masked_checksum(data) != int.from_bytes(rest[length : length + FOOTER], "little"):
        raise DamagedRecordError("corrupted", offset + HEADER)
    return data


def scan(path: str) -> Iterator[tuple[int, bytes]]:
    """Every record of a file.

    Yields:
        The byte at which a record begins, and its data.

    Raises:
        DamagedRecordError: if one is damaged or cut.
        OSError: if the file cannot be read.
    """
    with storage.open_file(path, buffering=BUFFER) as file:
        offset = 0
        while header := file.read(HEADER):
            length = length_in(header, offset)
            yield offset, data_in(memoryview(file.read(length + FOOTER)), length, offset)
            offset += HEADER + length + FOOTER


def read_part(path: str, start: int, length: int) -> bytes:
    """At most so many bytes of a file from a byte on; files of this machine stay open for the next time."""
    if storage.is_url(path):
        return storage.read_part(path, start, length)
    descriptor = _opened(path)
    content = os.pread(descriptor.number, length, start)
    while 0 < len(content) < length and (
        more := os.pread(descriptor.number, length - len(content), start + len(content))
    ):
        content += more
    return content


class _Descriptor:
    """An open file, closed once nobody has it any more."""

    def __init__(self, path: str) -> None:
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


def _most_open() -> int:
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1 << 12 if allowed == resource.RLIM_INFINITY else max(1, allowed // OPEN_SHARE)


@functools.lru_cache(maxsize=_most_open())
def _opened(path: str) -> _Descriptor:
    return _Descriptor(path)
