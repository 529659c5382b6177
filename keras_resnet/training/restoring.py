"""A checkpoint on its way to every process: the chief reads it, and broadcasts it to the others."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.training import archives
from keras_resnet.training.backend import Processes, on_chief

if TYPE_CHECKING:
    from keras_resnet.training.checkpoints import Checkpoints, Saved

Content = tuple[dict[str, np.ndarray], dict[str, Any]]
"""The arrays of a checkpoint by name, and its progress."""


def read(
    processes: Processes,
    checkpoints: Checkpoints | None,
    difference: Callable[[Mapping[str, tuple[int, ...]]], str | None],
    iteration: int | None = None,
) -> tuple[Content | None, list[str]]:
    """The latest whole checkpoint, or that of an iteration, in every process; only the chief needs to see the disk.

    Args:
        processes: All of them call this at the same time.
        checkpoints: None but for the chief.
        difference: See `Checkpoints.restore`.
        iteration: Of the checkpoint. None: the latest.

    Returns:
        (content, messages); None if there is no checkpoint.
    """

    def from_disk() -> tuple[Saved | None, list[str]]:
        if checkpoints is None:
            return None, []
        return checkpoints.restore(difference) if iteration is None else (checkpoints.read(iteration, difference), [])

    saved, messages = on_chief(processes, from_disk) or (None, [])
    content = (saved.values, saved.progress) if saved else None
    if processes.count > 1:
        packed = processes.broadcast(pack(*content) if content else None)
        content = unpack(packed) if packed else None
    return content, messages


def pack(values: Mapping[str, np.ndarray], progress: Mapping[str, Any]) -> bytes:
    """Arrays and a JSON document as bytes."""
    buffer = io.BytesIO()
    archives.write(buffer, values, json.dumps(progress))
    return buffer.getvalue()


def unpack(packed: bytes) -> Content:
    """What was packed."""
    archive = archives.Archive(io.BytesIO(packed))
    return {name: archive.array(name) for name in archive.shapes}, archive.document
