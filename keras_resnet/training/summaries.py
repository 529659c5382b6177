"""The record of a training for TensorBoard, whose own package writes it: no framework is needed."""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FILES = itertools.count()
"""A number for each file of this process."""


def installed() -> bool:
    """Whether there is what writes logs."""
    return find_spec("tensorboard") is not None


def summary_writer(directory: str) -> Callable[[int, Mapping[str, float]], None]:
    """The function that adds scalars to TensorBoard's logs.

    Args:
        directory: Of the logs, on this machine; made if it does not exist.

    Returns:
        Function of (iteration, values by tag). It raises an `OSError` if the logs cannot be written.

    Raises:
        OSError: if the logs cannot be written, or TensorBoard is not installed.
    """
    add = event_writer(directory)
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb

    def write(iteration: int, values: Mapping[str, float]) -> None:
        add(iteration, (scalar_pb(tag, value) for tag, value in values.items()))

    return write


def event_writer(directory: str | os.PathLike[str]) -> Callable[[int, Iterable[Any]], None]:
    """The function that adds summaries to a new file of TensorBoard's logs, where they can be seen at once.

    Args:
        directory: As of `summary_writer`.

    Returns:
        Function of (iteration, TensorBoard's `Summary` messages). It raises an `OSError` if the logs cannot be written.

    Raises:
        OSError: if the logs cannot be written, or TensorBoard is not installed.
    """
    if not installed():
        raise OSError("TensorBoard's logs cannot be written, as it is not installed: pip install tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    # What TensorBoard looks for, and one for each writer.
    name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(FILES)}.v2"
    file = Path(directory) / name

    def append(*events: Event) -> None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("ab") as opened:
                writer = RecordWriter(opened)
                for event in events:
                    writer.write(event.SerializeToString())
        except OSError as error:
            raise OSError(f"TensorBoard's logs cannot be written: {error}") from error

    def add(iteration: int, summaries: Iterable[Any]) -> None:
        append(*(Event(wall_time=time.time(), step=iteration, summary=summary) for summary in summaries))

    append(Event(wall_time=time.time(), file_version="brain.Event:2"))
    return add
