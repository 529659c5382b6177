"""Refusals of files that could not be written, or would replace others, before anything takes long."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path


def remedy(argument: str = "output") -> str:
    """What to do about a file that cannot be written; a sentence without its full stop."""
    return f"Make room there or allow it, or choose another `{argument}`"


def check_directory(directory: Path, argument: str = "output") -> None:
    """Refuses a directory that is a file, or below one, or that may not be written to.

    Args:
        directory: Need not be there.
        argument: The argument that named it, for the error.

    Raises:
        NotADirectoryError: if it is a file, or below one.
        PermissionError: if nothing may be written there.
    """
    nearest = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(f"{nearest} is a file. Choose another `{argument}`")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(f"{nearest} may not be written to. {remedy(argument)}")


def check_vacant(files: Iterable[Path], *, overwrite: bool, argument: str = "output") -> None:
    """Refuses to replace files unasked.

    Args:
        files: What is to be written.
        overwrite: Whether files may be replaced.
        argument: The argument that named them, for the error.

    Raises:
        FileExistsError: if some are there, and may not be replaced.
    """
    there = [str(file) for file in files if file.exists()]
    if there and not overwrite:
        be, them = ("is", "it") if len(there) == 1 else ("are", "them")
        raise FileExistsError(
            f"{', '.join(there)} {be} there already. Choose another `{argument}`, or replace {them} with "
            "`overwrite=True`"
        )


def check_file(
    file: Path, *, overwrite: bool, argument: str = "output", suffixes: Sequence[str] = (), rule: str = ""
) -> None:
    """Refuses a file that cannot be written, or that would be replaced unasked.

    Args:
        file: What is to be written.
        overwrite: Whether it may be replaced.
        argument: The argument that named it, for the error.
        suffixes: What its name may end in; anything if there are none.
        rule: Where that is so, such as `"with format='onnx'"`.

    Raises:
        ValueError: if its name ends in something else.
        OSError: if it is a directory, or in none; or if it is there already.
    """
    if suffixes and not file.name.endswith(tuple(suffixes)):
        ends = f"{'one of ' if len(suffixes) > 1 else ''}{', '.join(suffixes)}{rule and f' {rule}'}"
        raise ValueError(f"`{argument}` must end in {ends}. Received: {file}")
    check_directory(file.parent, argument)
    if not file.parent.is_dir():
        raise FileNotFoundError(f"There is no directory {file.parent}. Make it, or choose another `{argument}`")
    if file.is_dir():
        raise IsADirectoryError(f"{file} is a directory. Choose another `{argument}`")
    check_vacant([file], overwrite=overwrite, argument=argument)


def check_folder_of(folder: Path, mark: str, argument: str = "output") -> None:
    """Refuses a folder that can be replaced as a whole, where it holds something else.

    Args:
        folder: What is to be written.
        mark: A file that it has if it is of the same kind.
        argument: The argument that named it, for the error.

    Raises:
        OSError: if there is no folder for it, or it holds something else.
    """
    check_directory(folder.parent, argument)
    if not folder.parent.is_dir():
        raise FileNotFoundError(f"There is no directory {folder.parent}. Make it, or choose another `{argument}`")
    if folder.exists() and not (folder / mark).is_file():
        raise FileExistsError(f"{folder} has no {mark}, and is not replaced. Choose another `{argument}`")
