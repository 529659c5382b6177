"""Batch statistics as an exact average over training images, in place of the moving averages of a training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_resnet.models.layers.replicas import AXIS
from keras_resnet.training import batch_statistics
from keras_resnet.training.jax.mesh import in_replicas
from keras_resnet.training.jax.variables import Values, Variables
from keras_resnet.training.variable_names import prefixed

if TYPE_CHECKING:
    import jax


def set_precise_statistics(network: keras.Model, variables: Variables, batches: Iterable[tuple]) -> None:
    """Replaces the moving statistics of every `BatchNormalization` by those of the images in some batches.

    See `training.tensorflow.precise_batch_norm`: the mean of the batches' means, and the mean of their variances plus
    the variance of their means, summed in float64.

    Args:
        network: From images [batch, height, width, channels].
        variables: Its values, on the devices; all replicas get the same statistics.
        batches: Pairs (images, labels) of all replicas, as many in every process.

    Raises:
        ValueError: if there is no layer to set, or no batch, or if the moments of a batch are not finite. The values
            are left as they were.
    """
    layers = batch_statistics.trainable_layers(network)
    means = [f"model/{layer.moving_mean.path}" for layer in layers]
    variances = [f"model/{layer.moving_variance.path}" for layer in layers]
    with batch_statistics.without_memory(layers):
        population = _population(_moments(network, variables, means, variances), variables, batches)
    read = variables.read()
    for name, value in zip([*means, *variances], population, strict=True):
        read[name] = value[None] if name in variables.layout.apart else value
    variables.write(read)


def _moments(network: keras.Model, variables: Variables, means: Sequence[str], variances: Sequence[str]) -> Callable:
    """The function from (values, images) to the moments of each replica's images, float32 [replicas, channels]s."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec

    groups = (network.trainable_variables, network.non_trainable_variables)
    trainable, state = (list(prefixed("model", group)) for group in groups)

    def moments(values: Values, images: jax.Array) -> list[jax.Array]:
        of = variables.layout.of_replica(values)
        before = [jnp.zeros_like(of[name]) if name in (*means, *variances) else of[name] for name in state]
        with jax.default_matmul_precision("float32"):
            _, after = network.stateless_call([of[name] for name in trainable], before, images, training=True)
        left = dict(zip(state, after, strict=True))
        return [jax.lax.all_gather(left[name], AXIS) for name in (*means, *variances)]

    inputs = (variables.layout.specs, PartitionSpec(AXIS))
    return jax.jit(in_replicas(moments, variables.mesh, inputs, PartitionSpec()))


def _population(moments: Callable, variables: Variables, batches: Iterable[tuple]) -> list[np.ndarray]:
    """The means of all layers, then the variances, float64 [channels] each."""
    count, total = 0, None
    for number, (images, _) in enumerate(batches, start=1):
        rows = [np.asarray(row, "float64") for row in moments(variables.values, images)]
        if not all(np.isfinite(row).all() for row in rows):
            raise ValueError(f"The statistics of a network must be finite. Those of batch {number} are not")
        means, variances = rows[: len(rows) // 2], rows[len(rows) // 2 :]
        squares = [variance + mean**2 for mean, variance in zip(means, variances, strict=True)]
        sums = [row.sum(axis=0) for row in (*means, *squares)]
        total = sums if total is None else [so_far + one for so_far, one in zip(total, sums, strict=True)]
        count += len(means[0])
    if total is None:
        raise ValueError("`batches` must hold at least one batch. Received: none")
    means, squares = ([part / count for part in half] for half in (total[: len(total) // 2], total[len(total) // 2 :]))
    return [*means, *(np.maximum(square - mean**2, 0.0) for mean, square in zip(means, squares, strict=True))]
