"""The memory of which files were examined and found whole, so that damage is looked for once and not at every start."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_resnet.data.picture_files import damage
from keras_resnet.data.picture_files.damage import Examined
from keras_resnet.host import files

RULES = 1
"""Of what is called damage: with others, all files are examined again."""
SIZE = 16
"""Bytes of an identity."""
SETTLED = 2_000_000_000
"""Nanoseconds that a file must have been left alone: a later change might not show in its time."""


def examine(folder: Path, names: Sequence[str], progress: Callable[[int, int], None]) -> list[Examined]:
    """Examines the files in a folder but those that were found whole before, and are as they were.

    Args:
        folder: Its path names the memory.
        names: Of the files, from the folder on.
        progress: Called with the numbers of files that are done, and that are to be examined.
    """
    known = read(folder)
    identities = [identity(folder, name) for name in names]
    new = [number for number, one in enumerate(identities) if one not in known]
    paths = [f"{folder}/{names[number]}" for number in new]
    found = dict(zip(new, damage.examine(paths, lambda done: progress(done, len(new))), strict=True))
    examined = [found.get(number) or Examined(orientation=known[one]) for number, one in enumerate(identities)]
    whole = {
        one: file.orientation
        for one, file in zip(identities, examined, strict=True)
        if one and not file.unusable and not file.complaint
    }
    if whole != known:
        write(folder, whole)
    return examined


def directory() -> Path:
    """Where the memory is: `keras_resnet/examined` in the user's folder for caches, `$XDG_CACHE_HOME` or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "keras_resnet" / "examined"


def identity(folder: Path, name: str) -> bytes | None:
    """16 bytes that stand for a name and the file as it is now; `None` where it may be changing, or is not there."""
    try:
        status = os.stat(f"{folder}/{name}")  # noqa: PTH116 - a million files: no object for each
    except OSError:
        return None
    if abs(time.time_ns() - status.st_mtime_ns) < SETTLED:
        return None
    seen = f"{status.st_size} {status.st_mtime_ns} {status.st_mode} ".encode() + os.fsencode(name)
    return hashlib.blake2b(seen, digest_size=SIZE).digest()


def read(folder: Path) -> dict[bytes | None, int]:
    """The orientations of the files that were found whole, by their identities."""
    try:
        with np.load(_file(folder)) as kept:
            identities, orientations = kept["identities"].tobytes(), kept["orientations"].tolist()
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # none there, or damaged
        return {}
    return {identities[SIZE * number : SIZE * (number + 1)]: each for number, each in enumerate(orientations)}


def write(folder: Path, found: Mapping[bytes, int]) -> None:
    """Keeps the orientations of files that were found whole; nothing where nothing can be written."""
    content = io.BytesIO()
    identities = np.frombuffer(b"".join(found), np.uint8).reshape(-1, SIZE)
    np.savez(content, identities=identities, orientations=np.array(list(found.values()), np.uint8))
    with contextlib.suppress(OSError, RuntimeError):
        directory().mkdir(parents=True, exist_ok=True)
        files.write(_file(folder), content.getvalue(), "")


def _file(folder: Path) -> Path:
    named = f"{RULES} {os.fspath(folder.absolute())}"
    return directory() / f"{hashlib.sha256(os.fsencode(named)).hexdigest()[:32]}.npz"
