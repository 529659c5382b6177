"""Many iterations in one call, on every device."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from keras_resnet.training.tensorflow.replica import Replica


def multi_step(
    replica: Replica,
    *,
    strategy: tf.distribute.Strategy,
    accumulation: int = 1,
    steps_per_execution: int | None = None,
) -> Callable:
    """The function that runs as many iterations as it is given learning rates.

    The host is asked for nothing in between, which is what accelerators want. The loss of an iteration is the mean over
    the global batch, whatever the number of replicas and parts.

    Args:
        replica: What every device does; made in the scope of the strategy.
        strategy: The devices.
        accumulation: Batches in an iteration, one after the other.
        steps_per_execution: The most iterations in a call. With 1 there is no loop in the graph, which would double the
            nodes of a network of a thousand layers and the time until it starts.

    Returns:
        Function of (iterator over batches, learning rates float32 [k]) that returns the losses float32 [k] and the
        numbers of misclassified images int64 [k].
    """
    optimizer = replica.optimizer
    iteration = _whole(replica, strategy) if accumulation == 1 else _in_parts(replica, strategy, accumulation)

    def at_rate(iterator, rate):
        optimizer.learning_rate.assign(rate)
        optimizer.iterations.assign_add(1)
        loss, misclassified, finite = iteration(iterator, rate)
        if replica.loss_scale:
            replica.loss_scale.adjust(strategy.experimental_local_results(finite)[0])
        return loss, misclassified

    @tf.function(autograph=False)
    def run(iterator, rates):
        if steps_per_execution == 1:
            return [tf.stack([result]) for result in at_rate(iterator, rates[0])]

        def one(k, losses, misclassified):
            loss, count = at_rate(iterator, rates[k])
            return k + 1, losses.write(k, loss), misclassified.write(k, count)

        steps = tf.shape(rates)[0]
        empty = (tf.TensorArray(tf.float32, steps), tf.TensorArray(tf.int64, steps))
        # One at a time: collectives of two iterations at once would mistake each other's tensors.
        _, losses, misclassified = tf.while_loop(lambda k, *_: k < steps, one, (0, *empty), parallel_iterations=1)
        return losses.stack(), misclassified.stack()

    def call(iterator, rates):
        # Traced once for any number of iterations: a deep network takes most of a minute to trace.
        traced = run.get_concrete_function(iterator, tf.TensorSpec([None], tf.float32))
        return traced(iterator, tf.constant(rates, tf.float32))

    return call


def _whole(replica: Replica, strategy: tf.distribute.Strategy) -> Callable:
    """An iteration of one batch: (iterator, rate) to loss, misclassified images, and whether each replica is finite."""

    def train(images, labels, rate):
        before = replica.statistics()
        loss, misclassified, gradients = replica.gradients(images, labels)
        return loss, misclassified, replica.update(gradients, rate, before)

    def iteration(iterator, rate):
        images, labels = iterator.get_next()
        loss, misclassified, finite = strategy.run(train, args=(images, labels, rate))
        return strategy.reduce("SUM", loss, axis=None), strategy.reduce("SUM", misclassified, axis=None), finite

    return iteration


def _in_parts(replica: Replica, strategy: tf.distribute.Strategy, parts: int) -> Callable:
    """An iteration of several batches, whose gradients each replica sums before all replicas do.

    The loop is around the replicas, not in them, where it could not carry what synchronized statistics tell each other.
    """
    with strategy.scope():
        sums = [
            tf.Variable(
                tf.zeros(variable.shape, variable.dtype),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.SUM,
            )
            for variable in replica.model.trainable_variables
        ]

    def add(images, labels):
        loss, misclassified, gradients = replica.gradients(images, labels)
        for total, gradient in zip(sums, gradients, strict=True):
            total.assign_add(gradient)
        return loss, misclassified

    def finish(rate, before):
        finite = replica.update([tf.identity(total) for total in sums], rate, before)
        for total in sums:
            total.assign(tf.zeros_like(total))
        return finite

    def iteration(iterator, rate):
        def part(k, loss, misclassified):
            results = strategy.run(add, args=iterator.get_next())
            more = [strategy.reduce("SUM", result, axis=None) for result in results]
            return k + 1, loss + more[0], misclassified + more[1]

        before = strategy.run(replica.statistics)
        zero = (0, tf.constant(0.0), tf.constant(0, tf.int64))
        _, loss, misclassified = tf.while_loop(lambda k, *_: k < parts, part, zero, parallel_iterations=1)
        return loss, misclassified, strategy.run(finish, args=(rate, before))

    return iteration
