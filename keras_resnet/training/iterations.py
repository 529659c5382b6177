"""One call that runs many iterations on every device."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from keras_resnet import metrics


def iterations(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    *,
    strategy: tf.distribute.Strategy,
    global_batch_size: int,
    most: int | None = None,
) -> Callable:
    """The function that runs as many iterations as it is given learning rates.

    The host is asked for nothing in between, which is what accelerators want. The loss of an iteration is the mean over
    the global batch, whatever the number of replicas.

    Args:
        model: From images to logits; built, like the optimizer, in the scope of the strategy.
        optimizer: Its learning rate is set at each iteration.
        strategy: The devices.
        global_batch_size: Images in an iteration, over all replicas.
        most: The most iterations in a call. With 1 there is no loop in the graph, which would double the nodes of a
            network of a thousand layers and the time until it starts.

    Returns:
        Function of (iterator over batches, learning rates float32 [k]) that returns the losses float32 [k] and the
        numbers of wrongly classified images int64 [k].
    """

    def replica(images, labels):
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = tf.reduce_sum(metrics.cross_entropy(logits, labels)) / global_batch_size
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss, tf.math.count_nonzero(metrics.wrong(logits, labels))

    def iteration(iterator, rate):
        optimizer.learning_rate.assign(rate)
        results = strategy.run(replica, args=iterator.get_next())
        return [strategy.reduce("SUM", value, axis=None) for value in results]

    @tf.function(autograph=False)
    def run(iterator, rates):
        if most == 1:
            return [tf.stack([result]) for result in iteration(iterator, rates[0])]

        def one(k, losses, wrong):
            loss, wrongs = iteration(iterator, rates[k])
            return k + 1, losses.write(k, loss), wrong.write(k, wrongs)

        count = tf.shape(rates)[0]
        empty = (tf.TensorArray(tf.float32, count), tf.TensorArray(tf.int64, count))
        # One at a time: collectives of two iterations at once would mistake each other's tensors.
        _, losses, wrong = tf.while_loop(lambda k, *_: k < count, one, (0, *empty), parallel_iterations=1)
        return losses.stack(), wrong.stack()

    def call(iterator, rates):
        # Traced once for any number of iterations: a deep network takes most of a minute to trace.
        return run.get_concrete_function(iterator, tf.TensorSpec([None], tf.float32))(iterator, rates)

    return call
