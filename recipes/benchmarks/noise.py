"""Training on noise: what a network takes when images cost nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.interleaved import Task

if TYPE_CHECKING:
    from keras_resnet.training.backend import Backend, TrainingImages


def images(count: int, shape: tuple[int, int, int], classes: int) -> TrainingImages:
    """Images of noise in memory, not augmented.

    Args:
        count: How many.
        shape: (height, width, channels).
        classes: How many the labels are of.
    """
    import numpy as np

    from keras_resnet.data.splits import ArraySplit
    from keras_resnet.training.backend import TrainingImages

    numbers = np.random.default_rng(0)
    pixels = numbers.integers(0, 256, (count, *shape), np.uint8)
    return TrainingImages(ArraySplit(pixels, numbers.integers(0, classes, count)), (), 0, 0)


def training(backend: Backend, batch_size: int, *, iterations: int) -> Task:
    """Trains for some iterations, and waits for the end of the last one.

    Args:
        backend: With images of its own.
        batch_size: Images in an iteration.
        iterations: In one call.
    """
    import numpy as np

    train, rates = backend.start(0, steps_per_execution=iterations), np.zeros(iterations, np.float32)

    def run() -> int:
        train(rates)
        return batch_size * iterations

    return run
