"""Top-1 and top-5 error over a whole split on the devices of a strategy."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from keras_resnet.evaluation.error_rates import ErrorRates
from keras_resnet.optimization import losses
from keras_resnet.training.variable_names import differs_between_replicas

Batches = tf.data.Dataset | tf.distribute.DistributedDataset


def evaluator(model: keras.Model, strategy: tf.distribute.Strategy) -> Callable[[Batches, int], ErrorRates]:
    """The function that measures a model on batches; it is traced once and serves every split.

    Args:
        model: From uint8 images [batch, height, width, channels] to logits [batch, classes].
        strategy: The one that the model was built under.

    Returns:
        Function of (batches, images): batches for every replica, as `evaluation_batches` makes them and
        `strategies.batches` distributes them, and the number of images that they must hold. It raises a `RuntimeError`
        if another number was counted.
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

    apart = [variable for variable in model.non_trainable_variables if differs_between_replicas(variable)]

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
        return ErrorRates.from_sums(*sums, images=images, classes=model.output_shape[-1])

    return evaluate
