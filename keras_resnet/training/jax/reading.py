"""Batches that the host reads, on the devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_resnet.data import roads
from keras_resnet.data.splits import Split
from keras_resnet.models.layers.replicas import AXIS
from keras_resnet.training.backend import TrainingImages
from keras_resnet.training.jax.feeding import Feed

if TYPE_CHECKING:
    import jax


def training(images: TrainingImages, mesh: jax.sharding.Mesh, *, batch_size: int, first_batch: int) -> Feed:
    """The batches of a training from one on, without end: images uint8 [batch, …] and labels int32 [batch]."""
    batches = roads.current().training_batches(
        images.split,
        global_batch_size=batch_size,
        augmentation=images.augmentation,
        padding=images.padding,
        seed=images.seed,
        first_iteration=first_batch,
        **_place(mesh),
    )
    return Feed(batches, _sharding(mesh))


def evaluation(split: Split, mesh: jax.sharding.Mesh, *, batch_size: int) -> Feed:
    """One pass over a split, every image once; images that fill up the last batch have the label -1."""
    return Feed(roads.current().evaluation_batches(split, batch_size=batch_size, **_place(mesh)), _sharding(mesh))


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
