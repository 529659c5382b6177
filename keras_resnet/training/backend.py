"""The seam between the training loop and what computes: a backend, and the processes that it runs in.

`Trainer` knows these two protocols and nothing else of a backend. `training.tensorflow` and `training.jax` hold an
implementation each; files of the same name in both do the same thing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    import keras
    import numpy as np

    from keras_resnet.data.splits import Split
    from keras_resnet.evaluation.error_rates import ErrorRates

Result = TypeVar("Result")

MultiStep = Callable[["np.ndarray"], tuple["np.ndarray", "np.ndarray"]]
"""From the learning rates of the next iterations, float32 [k], to their losses, float32 [k], each the mean over the
global batch, and their numbers of misclassified images, int [k]."""


class WorkerLostError(RuntimeError):
    """Another process of the training ended, or cannot be reached."""


class Processes(Protocol):
    """The processes that train together, and the devices that they have.

    All processes must call `broadcast` and `maximum` at the same time.
    """

    @property
    def count(self) -> int:
        """Number of processes."""

    @property
    def is_chief(self) -> bool:
        """Whether this is the one process that writes and reports."""

    @property
    def replicas(self) -> int:
        """Number of devices that share each iteration, over all processes."""

    @property
    def devices(self) -> Sequence[str]:
        """Names of the devices of this process, for people."""

    def broadcast(self, message: bytes | None) -> bytes:
        """The message of the chief, in every process; what the others give is ignored."""

    def maximum(self, values: Sequence[float]) -> list[float]:
        """The largest value of all processes, element by element; every process gives as many, none of them NaN."""

    def naming_lost_workers(self) -> AbstractContextManager[None]:
        """Turns the error that says that another process is gone into a `WorkerLostError`."""


@dataclass(frozen=True)
class OneProcess:
    """The only process of a training."""

    devices: Sequence[str] = ()
    replicas: int = 1
    count = 1
    is_chief = True

    def broadcast(self, message: bytes | None) -> bytes:
        return message or b""

    def maximum(self, values: Sequence[float]) -> list[float]:
        return [float(value) for value in values]

    def naming_lost_workers(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()


def on_chief(processes: Processes, action: Callable[[], Result]) -> Result | None:
    """Does something in the chief alone; if the chief refuses it, every process raises an error, and none waits.

    Args:
        processes: All of them call this at the same time.
        action: What to do; it must not need the other processes.

    Returns:
        The result of the action; None in the other processes.

    Raises:
        ValueError, OSError: as the action does; a `ValueError` in the other processes.
    """
    result, refusal = None, None
    if processes.is_chief:
        try:
            result = action()
        except (ValueError, OSError) as error:
            refusal = error
    message = processes.broadcast(str(refusal or "").encode())
    if refusal:
        raise refusal
    if message and not processes.is_chief:
        raise ValueError(f"worker 0 says: {message.decode()}")
    return result


@dataclass(frozen=True)
class TrainingImages:
    """The images of a training, and what decides their order and augmentation.

    Args:
        split: The images.
        augmentation: Operations, keys of `facts.augmentation.OPERATIONS`.
        padding: Pixels on each side before a random crop.
        seed: Of order and augmentation.
    """

    split: Split
    augmentation: tuple[str, ...]
    padding: int
    seed: int


class Backend(Protocol):
    """A network, its optimizer, the images and the devices: everything that computes in a training.

    An implementation is made from (processes, network, optimizer, images, *, loss, global_batch_size, accumulation,
    normalization_batch_size, global_clipnorm, ema_momentum, scale_loss, xla): what `connect` gave; functions that
    build the network, and the optimizer of a network, in the scope of the devices; `TrainingImages`; and options.
    """

    strategies: Collection[str]
    """The strategies that `connect` takes, by name."""

    @staticmethod
    def connect(*, strategy: str, replicas: int | None, global_batch_size: int, timeout: float) -> Processes:
        """Takes the devices, and waits for the other processes.

        Args:
            strategy: How devices share the work.
            replicas: Number of devices, where the strategy leaves a choice.
            global_batch_size: Images in an iteration, over all replicas.
            timeout: Seconds to wait for the other processes.

        Raises:
            ValueError: if there are no such devices.
            TimeoutError: if a process does not come; names it.
        """

    @property
    def processes(self) -> Processes:
        """Where this runs."""

    @property
    def network(self) -> keras.Model:
        """From uint8 images [batch, height, width, channels] to float32 logits [batch, classes]."""

    @property
    def global_batch_size(self) -> int:
        """Images in an iteration, over all replicas."""

    @property
    def exhausted(self) -> bool:
        """Whether gradients overflow float16 at any scale of the loss."""

    @property
    def waited_seconds(self) -> float | None:
        """Seconds in which the devices have waited for images since `start`; None where nobody knows."""

    def start(self, first_iteration: int, *, steps_per_execution: int) -> MultiStep:
        """The function that trains from an iteration on, as many iterations as it is given learning rates.

        Args:
            first_iteration: Zero-based; decides which images come.
            steps_per_execution: The most iterations in a call.
        """

    def evaluate(self, split: Split) -> ErrorRates:
        """The errors of the network, as it is, on a split, every image exactly once."""

    def evaluation_weights(self) -> AbstractContextManager[None]:
        """While open, the network has the weights to evaluate and to keep: their moving average, if there is one."""

    def recompute_statistics(self, images: int) -> None:
        """Replaces moving statistics by exact averages over the first `images` training images."""

    def read(self) -> dict[str, np.ndarray]:
        """Every variable of the training by name, such as `model/conv1_conv/kernel`.

        Those of which each replica has its own, such as moving statistics, are [replicas, …].
        """

    def write(self, values: Mapping[str, np.ndarray]) -> None:
        """Sets what `read` gave; replicas of another number all get the mean of those that were."""

    def difference(self, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
        """The first variable whose shape is not that of a checkpoint, in words; None if all are the same."""
