"""The runs below a directory, read without changing anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from keras_resnet.runs.directory import RunDirectory

Run = TypeVar("Run")


@dataclass(frozen=True)
class Found(Generic[Run]):
    """The runs of a directory, and one line for each subdirectory that should hold one and cannot be read."""

    runs: tuple[Run, ...] = ()
    unreadable: tuple[str, ...] = ()


def find(path: Path, read: Callable[[RunDirectory], Run]) -> Found[Run]:
    """The runs in the directories directly below a path, in the order of their names; none if it does not exist.

    A directory without a file of a run is passed over.

    Args:
        path: The directory of the runs.
        read: What is wanted of a run. Its `ValueError` or `OSError` becomes a line of `unreadable`.

    Raises:
        NotADirectoryError: if the path is a file.
    """
    if not path.exists():
        return Found()
    return _read(
        (directory for directory in map(RunDirectory, sorted(path.iterdir())) if _is_candidate(directory)), read
    )


def among(paths: Iterable[Path], read: Callable[[RunDirectory], Run]) -> Found[Run]:
    """The runs among some paths, in their order; whatever else is there becomes a line of `unreadable`.

    Raises:
        FileNotFoundError: if there is nothing at one of the paths.
    """
    directories = [RunDirectory(path) for path in paths]
    for directory in directories:
        if not directory.path.exists():
            raise FileNotFoundError(f"There is no file or directory {directory.path}")
    return _read(directories, read)


def _is_candidate(directory: RunDirectory) -> bool:
    try:
        return directory.has_files
    except OSError:  # of a directory that may not be searched
        return True


def _read(directories: Iterable[RunDirectory], read: Callable[[RunDirectory], Run]) -> Found[Run]:
    runs, unreadable = [], []
    for directory in directories:
        try:
            directory.require_run()
            runs.append(read(directory))
        except (ValueError, OSError) as error:
            unreadable.append(str(error))
    return Found(tuple(runs), tuple(unreadable))
