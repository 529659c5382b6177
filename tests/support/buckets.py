"""A storage that only fsspec reaches, and that may fail."""

from __future__ import annotations

from fsspec.implementations.memory import MemoryFileSystem


class FullFile:
    """A file in a bucket that has room for some bytes, and none for more."""

    def __init__(self, file, room: int):
        self._file, self._room = file, room

    def write(self, content) -> int:
        self._room -= len(content)
        if self._room < 0:
            raise RuntimeError("quota exceeded\nmore")  # a storage has errors of its own, which are no OSError
        return self._file.write(content)

    def __getattr__(self, name: str):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self._file.close()  # and so what was written appears there


class Bucket(MemoryFileSystem):
    """A storage that can be full, or be away."""

    protocol = "bucket"
    store: dict = {}  # noqa: RUF012 - as in the class above
    pseudo_dirs = [""]  # noqa: RUF012
    room: int | None = None
    away = False

    def _open(self, path, mode="rb", **options):
        file = super()._open(path, mode, **options)
        return FullFile(file, self.room) if "w" in mode and self.room is not None else file

    def ls(self, path, detail=True, **options):
        if self.away:
            raise RuntimeError("no route to host")
        return super().ls(path, detail, **options)
