"""A file in memory that several processes write and read, without a name in any folder."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Sequence
from typing import TypeAlias

Buffer: TypeAlias = "bytes | bytearray | memoryview"


class MemoryFile:
    """A file that takes memory only where something was written, and is gone with the last process that has it.

    Pickled, it is the same file in another process on this machine, as long as this process is there. It has no size
    to be chosen, and no share in what a container allows `/dev/shm`. Where the system has no such files (outside of
    Linux) it is a temporary one.
    """

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("keras_resnet")
            self._attach(descriptor, f"/proc/{os.getpid()}/fd/{descriptor}")
        else:
            descriptor, path = tempfile.mkstemp(prefix="keras_resnet-")
            self._attach(descriptor, path)
            weakref.finalize(self, os.remove, path)

    def _attach(self, descriptor: int, path: str) -> None:
        self._descriptor, self._path = descriptor, path
        weakref.finalize(self, os.close, descriptor)

    def __getstate__(self) -> str:
        return self._path

    def __setstate__(self, path: str) -> None:
        self._attach(os.open(path, os.O_RDWR), path)

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        """Writes bytes at a place.

        Args:
            offset: In bytes.
            buffers: Written one after the other.

        Raises:
            OSError: if there is no memory.
        """
        for buffer in buffers:
            rest = memoryview(buffer).cast("B")
            while rest:
                written = os.pwrite(self._descriptor, rest, offset)
                offset, rest = offset + written, rest[written:]

    def read(self, offset: int, buffer: bytearray | memoryview) -> None:
        """Fills a buffer with the bytes at a place; those that were never written are zeros."""
        rest = memoryview(buffer).cast("B")
        while rest:
            count = os.preadv(self._descriptor, [rest], offset)
            if not count:  # beyond the end
                rest[:] = bytes(len(rest))
                return
            offset, rest = offset + count, rest[count:]
