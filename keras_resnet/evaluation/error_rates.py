"""Top-1 and top-5 error over a whole split, every image exactly once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf

from keras_resnet.optimization import losses


@dataclass(frozen=True)
class ErrorRates:
    """What was measured on a split."""

    images: int
    """Images counted."""
    loss: float
    """Mean cross-entropy."""
    top1_error: float
    """Percent of the images whose label does not have the largest logit."""
    top5_error: float
    """Percent of the images whose label is not among the five largest logits."""


Batches = tf.data.Dataset | tf.distribute.DistributedDataset


def evaluator(model: keras.Model, strategy: tf.distribute.Strategy) -> Callable[[Batches, int], ErrorRates]:
    """The function that measures a model on batches; it is traced once and serves every split.

    Args:
        model: From uint8 images [batch, height, width, channels] to logits [batch, classes].
        strategy: The one that the model was built under.

    Returns:
        Function of (batches, images): batches for every replica, as `data.batches.evaluation_batches` makes them and
        `distribution.batches` distributes them, and the number of images that they must hold. It raises a
        `RuntimeError` if another number was counted.
    """

    def measure(images, labels):
        logits = model(images, training=False)
        return (
            tf.math.count_nonzero(labels >= 0),
            tf.reduce_sum(tf.cast(losses.cross_entropy(logits, labels), tf.float64)),
            tf.math.count_nonzero(losses.misclassified(logits, labels, k=1)),
            tf.math.count_nonzero(losses.misclassified(logits, labels, k=5)),
        )

    @tf.function(autograph=False)
    def batch_sums(images, labels):
        per_replica = strategy.run(measure, args=(images, labels))
        return [strategy.reduce("SUM", value, axis=None) for value in per_replica]

    apart = [v for v in model.non_trainable_variables if v.value.synchronization == tf.VariableSynchronization.ON_READ]

    @tf.function(autograph=False)
    def average_statistics():
        def average():
            values = [tf.identity(variable.value) for variable in apart]
            means = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, values)
            for variable, mean in zip(apart, means, strict=True):
                variable.assign(mean)

        strategy.run(average)

    def evaluate(batches: Batches, images: int) -> ErrorRates:
        if apart and strategy.num_replicas_in_sync > 1:
            # Replicas have moving statistics of their own; what is saved, and so to be measured, is the mean of them.
            average_statistics()
        sums = [0, 0.0, 0, 0]
        for batch in batches:
            sums = [total + value.numpy() for total, value in zip(sums, batch_sums(*batch), strict=True)]
        counted, loss, wrong1, wrong5 = sums
        if counted != images:
            raise RuntimeError(f"{counted} images were evaluated, but the split has {images}")
        return ErrorRates(
            int(counted), float(loss / counted), *(float(100.0 * wrong / counted) for wrong in (wrong1, wrong5))
        )

    return evaluate
