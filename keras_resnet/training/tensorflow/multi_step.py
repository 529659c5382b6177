"""One call that runs many iterations on every device."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from keras_resnet.training.tensorflow.replica import Replica


def iterations(
    replica: Replica, *, strategy: tf.distribute.Strategy, accumulation: int = 1, most: int | None = None
) -> Callable:
    """The function that runs as many iterations as it is given learning rates.

    The host is asked for nothing in between, which is what accelerators want. The loss of an iteration is the mean over
    the global batch, whatever the number of replicas and parts.

    Args:
        replica: What every device does; made in the scope of the strategy.
        strategy: The devices.
        accumulation: Batches in an iteration, one after the other.
        most: The most iterations in a call. With 1 there is no loop in the graph, which would double the nodes of a
            network of a thousand layers and the time until it starts.

    Returns:
        Function of (iterator over batches, learning rates float32 [k]) that returns the losses float32 [k] and the
        numbers of wrongly classified images int64 [k].
    """
    optimizer = replica.optimizer
    iteration = _whole(replica, strategy) if accumulation == 1 else _in_parts(replica, strategy, accumulation)

    def at_rate(iterator, rate):
        optimizer.learning_rate.assign(rate)
        optimizer.iterations.assign_add(1)
        loss, wrong, finite = iteration(iterator, rate)
        if replica.loss_scale:
            replica.loss_scale.adjust(strategy.experimental_local_results(finite)[0])
        return loss, wrong

    @tf.function(autograph=False)
    def run(iterator, rates):
        if most == 1:
            return [tf.stack([result]) for result in at_rate(iterator, rates[0])]

        def one(k, losses, wrong):
            loss, wrongs = at_rate(iterator, rates[k])
            return k + 1, losses.write(k, loss), wrong.write(k, wrongs)

        count = tf.shape(rates)[0]
        empty = (tf.TensorArray(tf.float32, count), tf.TensorArray(tf.int64, count))
        # One at a time: collectives of two iterations at once would mistake each other's tensors.
        _, losses, wrong = tf.while_loop(lambda k, *_: k < count, one, (0, *empty), parallel_iterations=1)
        return losses.stack(), wrong.stack()

    def call(iterator, rates):
        # Traced once for any number of iterations: a deep network takes most of a minute to trace.
        traced = run.get_concrete_function(iterator, tf.TensorSpec([None], tf.float32))
        return traced(iterator, tf.constant(rates, tf.float32))

    return call


def _whole(replica: Replica, strategy: tf.distribute.Strategy) -> Callable:
    """An iteration of one batch: (iterator, rate) to loss, wrong images, and of each replica whether it is finite."""

    def train(images, labels, rate):
        loss, wrong, gradients = replica.gradients(images, labels)
        return loss, wrong, replica.update(gradients, rate)

    def iteration(iterator, rate):
        images, labels = iterator.get_next()
        loss, wrong, finite = strategy.run(train, args=(images, labels, rate))
        return strategy.reduce("SUM", loss, axis=None), strategy.reduce("SUM", wrong, axis=None), finite

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
        loss, wrong, gradients = replica.gradients(images, labels)
        for total, gradient in zip(sums, gradients, strict=True):
            total.assign_add(gradient)
        return loss, wrong

    def finish(rate):
        finite = replica.update([tf.identity(total) for total in sums], rate)
        for total in sums:
            total.assign(tf.zeros_like(total))
        return finite

    def iteration(iterator, rate):
        def part(k, loss, wrong):
            results = strategy.run(add, args=iterator.get_next())
            more = [strategy.reduce("SUM", result, axis=None) for result in results]
            return k + 1, loss + more[0], wrong + more[1]

        zero = (0, tf.constant(0.0), tf.constant(0, tf.int64))
        _, loss, wrong = tf.while_loop(lambda k, *_: k < parts, part, zero, parallel_iterations=1)
        return loss, wrong, strategy.run(finish, args=(rate,))

    return iteration
