"""Files of pictures in a folder, found by their names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif"}
KINDS = "JPEG, PNG, WebP, BMP or GIF"
NAMED = 5
"""Files that a line lists by name."""


class Found(NamedTuple):
    """Files in a folder.

    Attributes:
        pictures: Those with the name of a picture, sorted; of whatever kind, so that one that is none shows.
        others: All others but hidden ones, sorted.
    """

    pictures: list[str]
    others: list[str]


def find(folder: Path) -> Found:
    """The files in a folder, at any depth, as their paths below it. Hidden files and folders are passed over.

    Links to folders are followed, but those to a folder around them.

    Raises:
        OSError: if a folder cannot be read.
    """
    found = Found([], [])
    for path in _files(os.fspath(folder), (), ""):
        found[Path(path).suffix.lower() not in SUFFIXES].append(path)
    found.pictures.sort()
    found.others.sort()
    return found


def _files(folder: str, around: tuple[tuple[int, int], ...], below: str) -> Iterator[str]:
    status = os.stat(folder)  # noqa: PTH116 - a million files: no object for each
    place = (status.st_dev, status.st_ino)
    if place in around:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _files(entry.path, (*around, place), f"{below}{entry.name}/")
            else:
                yield f"{below}{entry.name}"


def left_out(paths: Sequence[str]) -> str:
    """A line about files that are passed over, because their names are not those of pictures."""
    count = f"{len(paths):,} files whose names are" if len(paths) > 1 else "a file whose name is"
    return f"leaving out {count} not of {KINDS}: {some(paths)}"


def some(texts: Sequence[str]) -> str:
    """The first few texts, and how many more there are."""
    more = [f"and {len(texts) - NAMED:,} more"] * (len(texts) > NAMED)
    return ", ".join([*texts[:NAMED], *more])
