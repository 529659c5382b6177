"""Arrays by name and a JSON document in one file, for which NumPy is all that is needed.

It is a zip of `.npy` files, not compressed, so `numpy.load` reads it as well. A number type that NumPy lacks, such as
bfloat16, is raw bytes for it; the list of the arrays has the name of the type. Every byte that matters is under a
CRC-32, and the list tells which arrays there must be.
"""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import IO, Any

import ml_dtypes
import numpy as np
from numpy.lib import format as npy

FORMAT = 1
"""Of the list of the arrays; another one is of a later version."""

LIST = "arrays.json"
DOCUMENT = "document.json"
"""The members that are no arrays; the name of an array ends in `.npy`."""

LOCAL_HEADER = struct.Struct("<4s22xHH")
"""What precedes a member of a zip: the magic bytes, and the lengths of its name and of what follows it."""


def write(file: IO[bytes], arrays: Mapping[str, np.ndarray], document: str) -> None:
    """Writes arrays and a document, one array after the other; the same bits for the same content.

    Args:
        file: Open for writing; need not be able to seek.
        arrays: Of numbers, by name.
        document: JSON.

    Raises:
        ValueError: if a name or a number type has no place in the format.
    """
    check(arrays)
    listed = {name: {"dtype": array.dtype.name, "shape": array.shape} for name, array in arrays.items()}
    with zipfile.ZipFile(file, "w") as archive:
        _add(archive, LIST, json.dumps({"format": FORMAT, "arrays": listed}).encode())
        _add(archive, DOCUMENT, document.encode())
        for name, array in arrays.items():
            _add(archive, f"{name}.npy", *_as_npy(array))


def check(arrays: Mapping[str, np.ndarray]) -> None:
    """Refuses what could not be written.

    Raises:
        ValueError: naming the array.
    """
    for name, array in arrays.items():
        if not name or zipfile.ZipInfo(f"{name}.npy").filename != f"{name}.npy":
            raise ValueError(f"no array of a checkpoint may be named {name!r}")
        if array.dtype.hasobject or array.dtype.kind in "USM":
            raise ValueError(f"an array of a checkpoint must hold numbers. Received: {name} of {array.dtype}")


class Archive:
    """What `write` wrote, to be read array by array; whatever is damaged raises an error of one kind or another.

    Args:
        file: Open for reading, and able to seek.
    """

    def __init__(self, file: IO[bytes]):
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self._members = {member.filename: member for member in members}
        listed = json.loads(self._content(LIST).tobytes())
        if listed["format"] != FORMAT:
            raise ValueError("a later version wrote it")
        self._dtypes = {name: _dtype(about["dtype"]) for name, about in listed["arrays"].items()}
        self.shapes = {name: tuple(about["shape"]) for name, about in listed["arrays"].items()}
        """Known before any array is read."""
        if {LIST, DOCUMENT, *(f"{name}.npy" for name in self.shapes)} != self._members.keys():
            raise ValueError(f"it has {len(self._members) - 2} arrays, and not the {len(self.shapes)} of its list")
        self.document: Any = json.loads(self._content(DOCUMENT).tobytes())

    def array(self, name: str) -> np.ndarray:
        """One array, checked."""
        dtype, shape = self._dtypes[name], self.shapes[name]
        content = self._content(f"{name}.npy")
        start = len(content) - dtype.itemsize * int(np.prod(shape, dtype=np.int64))  # after the header of the .npy
        return content[start:].view(dtype).reshape(shape)

    def _content(self, member: str) -> np.ndarray:
        """The bytes of a member, uint8, read once into the memory where they stay."""
        info = self._members[member]
        self._file.seek(info.header_offset)
        magic, *lengths = LOCAL_HEADER.unpack(self._file.read(LOCAL_HEADER.size))
        self._file.seek(sum(lengths), os.SEEK_CUR)
        if magic != zipfile.stringFileHeader or info.file_size > self._size:
            raise ValueError(f"it has no {member}")
        # Not of NumPy's own memory, which asks for huge pages: some machines take a second to find them.
        content = np.frombuffer(bytearray(info.file_size), np.uint8)
        read = self._file.readinto(content)  # type: ignore[attr-defined]
        if read < len(content) or zlib.crc32(content) != info.CRC:
            raise ValueError(f"the checksum of {member} is wrong")
        return content


def _add(archive: zipfile.ZipFile, name: str, *parts: bytes | memoryview) -> None:
    info = zipfile.ZipInfo(name)
    info.file_size = sum(len(part) for part in parts)  # decides whether its header has room for a large one
    with archive.open(info, "w") as member:
        for part in parts:
            member.write(part)


def _as_npy(array: np.ndarray) -> tuple[bytes, memoryview]:
    """The header of the .npy, and the bytes of the array, which are copied only where they are not in order."""
    dtype = array.dtype.newbyteorder("<")
    header = io.BytesIO()
    npy.write_array_header_1_0(header, {"descr": dtype.str, "fortran_order": False, "shape": array.shape})
    content = np.asarray(array, dtype, order="C").reshape(-1).view(np.uint8)
    return header.getvalue(), memoryview(content)


def _dtype(name: str) -> np.dtype:
    """A number type by its name, little-endian as in the file."""
    return np.dtype(getattr(ml_dtypes, name, name)).newbyteorder("<")
