"""The iterations that a run has done, finished or not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from keras_resnet.runs import history
from keras_resnet.runs.directory import RunDirectory

CHECKPOINT = re.compile(r"ckpt-(\d+)\.(npz|index)")
"""The file of a checkpoint, and the iterations done; before version 0.4, the one of its files that is written last."""


def reached(directory: RunDirectory) -> int:
    """The iterations that a run has done: those of its result, or else of its last checkpoint or its last row.

    Checkpoints that lie on a distant file system are not looked at.

    Raises:
        ValueError: if the result, the history or the environment is damaged.
    """
    if directory.finished:
        return int(directory.read_result()["iterations"])
    rows = history.read(directory.history)
    return max([0, *(row.iteration for row in rows[-1:]), *checkpoints(_names(_checkpoints(directory)))])


def check_not_beyond(directory: RunDirectory, iterations: int) -> None:
    """Refuses to continue a run that has done more iterations already than its recipe is to have from now on.

    Raises:
        ValueError: naming both numbers.
    """
    if not directory.finished and (done := reached(directory)) > iterations:
        raise ValueError(
            f"{directory.path} has done {done:,} iterations already, and the recipe ends at iterations={iterations:,}: "
            "nothing would be trained, and what ends there was never trained at its last learning rates. Choose more "
            "`iterations`, or another `directory` for a training that begins anew"
        )


def checkpoints(names: Iterable[str]) -> dict[int, str]:
    """The files of checkpoints by the iterations done; of two of the same iteration, the one in today's format.

    Args:
        names: Of the files in a directory.
    """
    found = sorted((match for name in names if (match := CHECKPOINT.fullmatch(name))), key=lambda match: match[2])
    return {int(match[1]): match[0] for match in found}


def _checkpoints(directory: RunDirectory) -> Path | None:
    """Where the run last kept its checkpoints; `None` if that is no directory of this machine."""
    starts = directory.starts()
    elsewhere = starts[-1].get("run", {}).get("checkpoint_directory") if starts else None
    if elsewhere is None:
        return directory.checkpoints
    return None if "://" in str(elsewhere) else Path(str(elsewhere))


def _names(directory: Path | None) -> list[str]:
    return [file.name for file in directory.iterdir()] if directory and directory.is_dir() else []
