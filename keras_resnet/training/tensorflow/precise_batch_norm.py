"""Batch statistics as an exact average over training images, in place of the moving averages of a training."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.data.tensorflow import batches as pipelines
from keras_resnet.training import batch_statistics
from keras_resnet.training.backend import TrainingImages
from keras_resnet.training.batch_sizes import per_replica_batch_size
from keras_resnet.training.tensorflow import strategies
from keras_resnet.training.tensorflow.variables import Variables
from keras_resnet.training.variable_names import by_path


def set_precise_statistics(
    network: keras.Model, batches: Iterable, strategy: tf.distribute.Strategy | None = None
) -> None:
    """Replaces the moving statistics of every `BatchNormalization` by those of the images in some batches.

    The network runs as in training, where a layer normalizes a batch by the batch's own moments. The mean that the
    layer is left with is the mean of the batches' means; its variance is the mean of their variances plus the variance
    of their means. Batches count by their images, sums are in float64. For a layer whose input does not depend on how
    the images are divided into batches, such as the first, these are the mean and the biased variance over all of them.

    The weights stay as they are, and so do the statistics of layers that are frozen (`trainable=False`), which
    normalize by them in training, too.

    Args:
        network: From images [batch, height, width, channels].
        batches: Pairs (images, labels) for every replica, as `strategies.batches` distributes them; as many in every
            process. The images of a replica should be at most the `normalization_batch_size` of the layers: of several
            groups in a batch, the variance of their means does not count.
        strategy: The one that the network was built under, whose replicas all get the same statistics. Defaults to the
            current one.

    Raises:
        ValueError: if there is no layer to set, or no batch, or if the moments of a batch are not finite. The network
            is left as it was.

    Reference:
        He, 2016, README of deep-residual-networks. Wu and Johnson, 2021, Section 3 ("PreciseBN").
    """
    strategy = strategy or tf.distribute.get_strategy()
    layers = batch_statistics.trainable_layers(network)
    means, variances = [layer.moving_mean for layer in layers], [layer.moving_variance for layer in layers]
    variables = Variables(strategy, {"mean": by_path(means), "variance": by_path(variances)})
    values = variables.read()
    try:
        with batch_statistics.without_memory(layers):
            population = _population(_batch_sums(network, means, variances, strategy), batches)
        names = [*(f"mean/{mean.path}" for mean in means), *(f"variance/{variance.path}" for variance in variances)]
        ends = np.cumsum([int(np.prod(variable.shape)) for variable in (*means, *variances)])[:-1]
        parts = zip(names, np.split(population, ends), strict=True)
        values = {name: part[None] if name in variables.apart else part for name, part in parts}
    finally:
        # Should anything have happened, those from before.
        variables.write(values)


def statistics_batches(
    images: TrainingImages,
    count: int,
    strategy: tf.distribute.Strategy,
    *,
    global_batch_size: int,
    accumulation: int = 1,
    normalization_batch_size: int | None = None,
) -> Iterator:
    """Batches whose statistics are taken together, over the first images that a training sees, as it sees them.

    They are the images of whole iterations, divided as the training divides them for batch normalization: the result
    depends on the devices no more than the training does.

    Args:
        images: Of the training.
        count: How many, rounded up to whole iterations; beyond an epoch they come again, with another augmentation.
        strategy: The devices.
        global_batch_size: Images in an iteration.
        accumulation: Parts of an iteration, one after the other.
        normalization_batch_size: Images over which batch normalization takes its statistics.

    Returns:
        Pairs (images, labels) for every replica.
    """
    replicas = strategy.num_replicas_in_sync
    per_replica = per_replica_batch_size(global_batch_size, replicas, accumulation)
    number, size = batch_statistics.batches_of(
        count,
        global_batch_size=global_batch_size,
        per_replica=per_replica,
        replicas=replicas,
        together=normalization_batch_size,
    )
    make = functools.partial(
        pipelines.training_batches,
        images.split,
        global_batch_size=size,
        augmentation=images.augmentation,
        padding=images.padding,
        seed=images.seed,
    )
    return itertools.islice(strategies.batches(strategy, make), number)


def _batch_sums(
    network: keras.Model,
    means: Sequence[keras.Variable],
    variances: Sequence[keras.Variable],
    strategy: tf.distribute.Strategy,
) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    """Function from images to the number of replicas' images, and to the sums over them of mean and mean square.

    Both sums are float64 [channels of all layers].
    """

    def flat(variables: Sequence[keras.Variable]) -> tf.Tensor:
        return tf.concat([tf.reshape(tf.cast(variable.value, tf.float64), [-1]) for variable in variables], 0)

    def moments(images: tf.Tensor) -> tuple[tf.Tensor, ...]:
        for variable in (*means, *variances):
            variable.assign(tf.zeros_like(variable.value))
        network(images, training=True)
        mean, variance = flat(means), flat(variances)
        count = tf.cast(tf.shape(images)[0], tf.float64)
        return count, count * mean, count * (variance + mean**2)

    @tf.function(autograph=False)
    def batch_sums(images: tf.Tensor) -> list[tf.Tensor]:
        return [strategy.reduce("SUM", part, axis=None) for part in strategy.run(moments, args=(images,))]

    return batch_sums


def _population(batch_sums: Callable[[tf.Tensor], list[tf.Tensor]], batches: Iterable) -> np.ndarray:
    """float64 [2 * channels of all layers]: the means, then the variances."""
    count, total, squares = 0.0, 0.0, 0.0
    for number, (images, _) in enumerate(batches, start=1):
        sums = [part.numpy() for part in batch_sums(images)]
        if not all(np.isfinite(part).all() for part in sums):
            raise ValueError(f"The statistics of a network must be finite. Those of batch {number} are not")
        count, total, squares = (so_far + part for so_far, part in zip((count, total, squares), sums, strict=True))
    if not count:
        raise ValueError("`batches` must hold at least one batch. Received: none")
    mean = total / count
    return np.concatenate([mean, np.maximum(squares / count - mean**2, 0.0)])
