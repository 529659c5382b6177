"""What the processes of a training tell each other when it continues, and when one of them is gone."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from keras_resnet.training.checkpoints import Checkpoints
from keras_resnet.training.tensorflow import strategies

LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError, tf.errors.CancelledError)
"""What TensorFlow raises when a process that it needs is gone."""


class WorkerLostError(RuntimeError):
    """Another process of the training ended, or cannot be reached."""


def read(
    strategy: tf.distribute.Strategy,
    checkpoints: Checkpoints | None,
    difference: Callable[[Mapping[str, tuple[int, ...]]], str | None],
) -> tuple[tuple[dict[str, np.ndarray], dict[str, Any]] | None, list[str]]:
    """The latest whole checkpoint, which the chief reads and tells the others, who need not see its disk.

    Args:
        strategy: The devices.
        checkpoints: None but for the chief.
        difference: See `Checkpoints.restore`.

    Returns:
        ((values, progress), messages); None if there is no checkpoint.
    """
    read = (lambda: checkpoints.restore(difference)) if checkpoints else (lambda: (None, []))
    saved, messages = strategies.on_chief(strategy, read) or (None, [])
    if strategies.workers(strategy) == 1:
        return (saved.values, saved.progress) if saved else None, messages
    told = strategies.tell(strategy, (pack(saved.values, saved.progress) if saved else b"") if checkpoints else None)
    return unpack(told) if told else None, messages


def pack(values: Mapping[str, np.ndarray], progress: Mapping[str, Any]) -> bytes:
    """Arrays and a JSON document as bytes."""
    buffer = io.BytesIO()
    document = np.frombuffer(json.dumps(progress).encode(), "uint8")
    np.savez(buffer, *values.values(), names=np.array(list(values)), document=document)
    return buffer.getvalue()


def unpack(packed: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What was packed."""
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        values = {str(name): arrays[f"arr_{index}"] for index, name in enumerate(arrays["names"])}
        return values, json.loads(arrays["document"].tobytes())


@contextlib.contextmanager
def naming_lost_workers(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Tells, of TensorFlow's errors in the block, those that mean that another process is gone.

    Raises:
        WorkerLostError: for those.
    """
    try:
        yield
    except tf.errors.OpError as error:
        lost = isinstance(error, LOST) or "Collective ops is aborted" in str(error.message)
        if strategies.workers(strategy) > 1 and lost:
            raise WorkerLostError(f"another worker is gone: {str(error.message)[:300]}") from error
        raise
