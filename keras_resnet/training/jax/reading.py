"""Batches that the host reads, on the devices."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.data.splits import Split
from keras_resnet.models.layers.replicas import AXIS
from keras_resnet.training.backend import TrainingImages

if TYPE_CHECKING:
    import jax


class Feed:
    """Batches of all replicas, from those of this process's replicas in turns.

    Attributes:
        output: An array of the computation that was started last.
        waited_seconds: How long batches were waited for.
    """

    def __init__(self, batches: Iterable[tuple[Any, Any]], sharding: jax.sharding.NamedSharding):
        self._batches, self._sharding = iter(batches), sharding
        self.output: jax.Array | None = None
        self.waited_seconds = 0.0

    def __iter__(self) -> Iterator[tuple[jax.Array, jax.Array]]:
        return self

    def __next__(self) -> tuple[jax.Array, jax.Array]:
        start = time.perf_counter()
        parts = [next(self._batches) for _ in self._sharding.mesh.local_devices]
        self.waited_seconds += time.perf_counter() - start
        images, labels = (self._whole([np.asarray(array) for array in arrays]) for arrays in zip(*parts, strict=True))
        return images, labels

    def _whole(self, parts: list[np.ndarray]) -> jax.Array:
        import jax

        mesh = self._sharding.mesh
        shape = (len(parts[0]) * mesh.size, *parts[0].shape[1:])
        placed = [jax.device_put(part, device) for part, device in zip(parts, mesh.local_devices, strict=True)]
        return jax.make_array_from_single_device_arrays(shape, self._sharding, placed)

    def close(self) -> None:
        """Ends what reads ahead."""


def training(images: TrainingImages, mesh: jax.sharding.Mesh, *, batch_size: int, first_batch: int) -> Feed:
    """The batches of a training from one on, without end: images uint8 [batch, …] and labels int32 [batch]."""
    from keras_resnet.data.tensorflow.batches import training_batches

    make = training_batches(
        images.split,
        global_batch_size=batch_size,
        augmentation=images.augmentation,
        padding=images.padding,
        seed=images.seed,
        first_iteration=first_batch,
        **_place(mesh),
    )
    return Feed(make, _sharding(mesh))


def evaluation(split: Split, mesh: jax.sharding.Mesh, *, batch_size: int) -> Feed:
    """One pass over a split, every image once; images that fill up the last batch have the label -1."""
    from keras_resnet.data.tensorflow.batches import evaluation_batches

    return Feed(evaluation_batches(split, batch_size=batch_size, **_place(mesh)), _sharding(mesh))


def _place(mesh: jax.sharding.Mesh) -> dict[str, int]:
    """The replicas of this process, its number among those that have some, and how many these are."""
    import jax

    processes = sorted({device.process_index for device in mesh.devices.flat})
    return {
        "replicas": len(mesh.local_devices),
        "host": processes.index(jax.process_index()),
        "hosts": len(processes),
    }


def _sharding(mesh: jax.sharding.Mesh) -> jax.sharding.NamedSharding:
    """Of a batch, an equal part of which each device has."""
    import jax

    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(AXIS))
