"""Files by path or by URL: on this machine, or in a bucket such as `gs://…`, which fsspec reaches.

fsspec has a file system for each kind of URL, each a package of its own, and needs no framework. All functions raise an
`OSError` that says what could not be done; one of them is a `FileNotFoundError`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn

PACKAGES = {"gs": "gcsfs", "gcs": "gcsfs", "s3": "s3fs", "s3a": "s3fs", "abfs": "adlfs", "az": "adlfs"}
"""What must be installed for a kind of URL, beside fsspec."""


class Status(NamedTuple):
    """What there is to know of a file without reading it.

    Attributes:
        size: Bytes.
        modified: Nanoseconds since 1970; 0 where the storage does not say.
    """

    size: int
    modified: int


def is_url(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a URL, such as `gs://bucket/folder`."""
    return "://" in os.fspath(path)


def join(directory: str | os.PathLike[str], name: str) -> str:
    """The path of what a directory holds."""
    return f"{os.fspath(directory).rstrip('/')}/{name}"


def open_file(path: str | os.PathLike[str], mode: str = "rb", buffering: int = -1) -> IO[Any]:
    """The open file, of bytes or of text in UTF-8; in a bucket, one that is written appears once it is closed.

    Args:
        path: Of the file.
        mode: As `open` has it.
        buffering: Bytes that are read of a file of this machine at a time, as `open` has it.
    """
    encoding = None if "b" in mode else "utf-8"
    if not is_url(path):
        return open(path, mode, buffering, encoding=encoding)  # noqa: PTH123 - a path may be a URL
    with _naming(path):
        opened: IO[Any] = _system(path).open(os.fspath(path), mode, **({"encoding": encoding} if encoding else {}))
        return opened


def read(path: str | os.PathLike[str]) -> bytes:
    """The content of a file."""
    with open_file(path) as file, _naming(path):
        content: bytes = file.read()
        return content


def read_part(path: str | os.PathLike[str], start: int, length: int) -> bytes:
    """At most `length` bytes of a file from a byte on; of a bucket no others are asked for."""
    if is_url(path):
        with _naming(path):
            part: bytes = _system(path).cat_file(os.fspath(path), start=start, end=start + length)
            return part
    with open_file(path) as file, _naming(path):
        file.seek(start)
        content: bytes = file.read(length)
        return content


def write(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file wholly or not at all."""
    if is_url(path):
        with open_file(path, "wb") as file, _naming(path):
            file.write(content)
        return
    with replacing(path) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place of what has its name once the block has ended without an error.

    Until then it is `.{name}.{process}.unfinished` beside it: in a bucket, because a file that is closed appears there
    also when its block ended with an error. On this machine it is on the disk before it takes the place.
    """
    directory, _, name = os.fspath(path).rpartition("/")
    # A name of its own for each process, so that two that write at once do not write into one file.
    unfinished = f"{directory}/.{name}.{os.getpid()}.unfinished" if directory else f".{name}.{os.getpid()}.unfinished"
    naming = _naming(path) if is_url(path) else contextlib.nullcontext()
    try:
        with naming, open_file(unfinished, "wb") as file:
            yield file
            if not is_url(path):
                file.flush()
                os.fsync(file.fileno())
        _move(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):
            remove(unfinished)
        raise


def _move(source: str, path: str | os.PathLike[str]) -> None:
    """Gives a file another name, in the place of what has it, so that it lasts when the power fails."""
    if is_url(path):
        with _naming(path):
            _system(path).mv(source, os.fspath(path))
        return
    os.replace(source, path)  # noqa: PTH105 - a path may have any type here
    folder = os.open(Path(path).parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def status(path: str | os.PathLike[str]) -> Status:
    """Size and time of a file."""
    if not is_url(path):
        found = Path(path).stat()
        return Status(found.st_size, found.st_mtime_ns)
    with _naming(path):
        info = _system(path).info(os.fspath(path))
        modified = info.get("mtime") or info.get("LastModified") or info.get("updated") or info.get("created") or 0
        seconds = modified.timestamp() if hasattr(modified, "timestamp") else modified
        return Status(int(info["size"]), int(1e9 * seconds) if isinstance(seconds, int | float) else 0)


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file or directory."""
    if not is_url(path):
        return Path(path).exists()
    with _naming(path):
        return bool(_system(path).exists(os.fspath(path)))


def is_directory(path: str | os.PathLike[str]) -> bool:
    """Whether a path is that of a directory."""
    if not is_url(path):
        return Path(path).is_dir()
    with _naming(path):
        return bool(_system(path).isdir(os.fspath(path)))


def names(directory: str | os.PathLike[str]) -> list[str]:
    """The names of what a directory holds, sorted."""
    if not is_url(directory):
        return sorted(os.listdir(directory))  # noqa: PTH208 - names, not paths
    with _naming(directory):
        system = _system(directory)
        system.invalidate_cache(os.fspath(directory))  # another process may have written there
        found = system.ls(os.fspath(directory), detail=False)
        return sorted(name for path in found if (name := path.rstrip("/").rpartition("/")[2]))


def make_directories(directory: str | os.PathLike[str]) -> None:
    """Makes a directory and those above it, where they are missing; a bucket has none to be made."""
    if not is_url(directory):
        Path(directory).mkdir(parents=True, exist_ok=True)
        return
    with _naming(directory):
        _system(directory).makedirs(os.fspath(directory), exist_ok=True)


def remove(path: str | os.PathLike[str]) -> None:
    """Removes a file, or a directory with all that it holds."""
    if is_url(path):
        with _naming(path):
            system = _system(path)
            if system.isdir(os.fspath(path)):
                system.rm(os.fspath(path), recursive=True)
            else:
                system.rm_file(os.fspath(path))  # unlike `rm`, it takes no path for a pattern
    elif stat.S_ISDIR(os.lstat(path).st_mode):
        shutil.rmtree(path)
    else:
        os.unlink(path)  # noqa: PTH108 - beside `lstat`


def _system(path: str | os.PathLike[str]) -> Any:
    """The file system of a URL.

    Raises:
        OSError: if a package is missing, or there is no such kind of URL.
    """
    kind = os.fspath(path).partition("://")[0]
    package = PACKAGES.get(kind)
    try:
        import fsspec

        return fsspec.filesystem(kind)
    except ImportError as error:
        needed = f"fsspec {package or ''}".strip()
        raise OSError(f"{os.fspath(path)} needs a package that is not installed: pip install {needed}") from error
    except ValueError as error:
        raise OSError(f"{os.fspath(path)} is of no known kind of storage, such as gs:// or s3://") from error


@contextlib.contextmanager
def _naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns whatever error a storage has of its own into an `OSError` with the path."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"There is no {os.fspath(path)}") from error
    except OSError as error:
        if error.filename is not None or os.fspath(path) in str(error):
            raise
        _raise(path, error)
    except Exception as error:  # of whatever kind: each storage has its own
        _raise(path, error)


def _raise(path: str | os.PathLike[str], error: Exception) -> NoReturn:
    reason = str(error).partition("\n")[0] or type(error).__name__
    raise OSError(f"{os.fspath(path)} cannot be used: {reason}") from error
