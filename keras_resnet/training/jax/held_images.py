"""Training images that stay in the memory of the devices, where they are chosen and augmented.

What goes over is, for each iteration, which images it has and the numbers that augment them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.data import order
from keras_resnet.data.splits import ArraySplit
from keras_resnet.facts.augmentation import draws
from keras_resnet.training.backend import TrainingImages
from keras_resnet.training.jax.augmentation import augment
from keras_resnet.training.jax.mesh import placed
from keras_resnet.training.jax.multi_step import Read

if TYPE_CHECKING:
    import jax

LARGEST_SHARE = 0.25
"""Of the memory of a device, for images; the rest is for the network."""


def fit(images: TrainingImages, mesh: jax.sharding.Mesh) -> bool:
    """Whether the devices can hold the images."""
    split = images.split
    if not isinstance(split, ArraySplit):
        return False
    memory = [device.memory_stats() for device in mesh.local_devices]
    # A CPU does not tell, and has them in its memory anyway.
    sizes = [stats["bytes_limit"] for stats in memory if stats and "bytes_limit" in stats]
    return not sizes or split.images.nbytes <= LARGEST_SHARE * min(sizes)


def hold(split: ArraySplit, mesh: jax.sharding.Mesh) -> tuple[jax.Array, jax.Array]:
    """All images, uint8 [size, pixels], and labels, int32 [size], on every device.

    Images are flat: a TPU would pad those of few channels to several times their size, and copy all to choose some.
    """
    return placed(split.images.reshape(split.size, -1), mesh), placed(split.labels.astype("int32"), mesh)


def reading(images: TrainingImages) -> Read:
    """The function from what `hold` gave, and from indices and draws, to augmented images and labels."""
    augmentation, padding, shape = images.augmentation, images.padding, images.split.image_shape

    def read(held: tuple, part: tuple) -> tuple:
        indices, numbers = part
        chosen = held[0][indices].reshape(-1, *shape)
        return augment(chosen, numbers, augmentation, padding), held[1][indices]

    return read


def choices(
    images: TrainingImages, batch_size: int, parts: int, first_iteration: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each iteration, the indices of its images int32 [parts, images], and their draws float32 [parts, images, n].

    Args:
        images: Their order.
        batch_size: Images in an iteration.
        parts: Parts of an iteration, one after the other.
        first_iteration: Zero-based.
    """
    chosen = order.batches(
        images.split.size,
        draws(images.augmentation),
        seed=images.seed,
        batch_size=batch_size,
        first_iteration=first_iteration,
    )
    for indices, numbers in chosen:
        yield indices.astype("int32").reshape(parts, -1), numbers.reshape(parts, batch_size // parts, -1)
