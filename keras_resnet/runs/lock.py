"""The lock on the directory of a run: two processes that train there would write over each other."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

try:
    import fcntl
except ModuleNotFoundError:  # Windows: nothing is held
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"
"""Of the file. One that a killed process has left behind means nothing: the process held it, not the file."""


@contextlib.contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Holds a directory, which is made if it is not there; the end of this process lets it go, however that comes.

    Where a system has no such locks, nothing is held. A directory in which nothing came of it is removed.

    Raises:
        BlockingIOError: if another process holds it, naming that.
        OSError: if the directory cannot be made or written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with _held(directory) as file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                (directory / NAME).unlink()
                directory.rmdir()  # fails unless it is empty


def _held(directory: Path) -> TextIO:
    """The file of the lock, held as long as it is open."""
    place = directory / NAME
    while True:
        file = place.open("a+", encoding="utf-8")
        try:
            _lock(file, directory)
            # Who held it before may have removed the file that was opened here.
            if place.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
        except FileNotFoundError:
            pass
        except BaseException:
            file.close()
            raise
        file.close()


def check(directory: Path) -> None:
    """Refuses a directory that another process holds; changes nothing.

    Raises:
        BlockingIOError: naming that process.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), (directory / NAME).open(encoding="utf-8") as file:
        _lock(file, directory, shared=True)


def _lock(file: TextIO, directory: Path, *, shared: bool = False) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        raise BlockingIOError(
            f"{directory} is being trained by {file.read() or 'another process'}. Wait for it, stop it, or choose "
            "another `directory`"
        ) from error
    except OSError:  # the file system has no locks
        return
