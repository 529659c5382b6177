"""What every backend does alike to replace moving statistics by exact averages: which layers, over which batches."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

import keras


@contextlib.contextmanager
def without_memory(layers: Sequence[keras.layers.BatchNormalization]) -> Iterator[None]:
    """While open, what is traced leaves the moments of a batch in moving statistics that were zero."""
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def trainable_layers(network: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The layers of a network that normalize by the moments of a batch in training; frozen ones do not.

    Raises:
        ValueError: if there is none.
    """
    layers = [layer for layer in network._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    layers = [layer for layer in layers if layer.trainable]
    if not layers:
        raise ValueError(f"`network` must have a trainable BatchNormalization. {network.name!r} has none")
    return layers


def batches_of(
    images: int, *, global_batch_size: int, per_replica: int, replicas: int, together: int | None
) -> tuple[int, int]:
    """How many batches, and of how many images, have their statistics taken together.

    They are the images of whole iterations, divided as the training divides them for batch normalization.

    Args:
        images: At least as many are seen.
        global_batch_size: Images in an iteration.
        per_replica: Images that a replica has at a time.
        replicas: How many there are.
        together: Images over which batch normalization takes its statistics; None: those of a replica.
    """
    size = replicas * min(together or per_replica, per_replica)
    return math.ceil(images / global_batch_size) * (global_batch_size // size), size
