"""One call that runs many iterations on the JAX backend: the images stay in the memory of the device.

What goes over is, for each iteration, which images it has and the numbers that augment them.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator

import keras
import numpy as np
from keras import ops

from keras_resnet.optimization import losses
from keras_resnet.training.tensorflow.replica import Replica


def iterations(
    replica: Replica,
    images: np.ndarray,
    labels: np.ndarray,
    augment: Callable,
    *,
    most: int,
) -> Callable:
    """The function that runs as many iterations as it is given learning rates; on one device.

    What a recipe calls float32 is computed in float32: a GPU of NVIDIA would round the factors of convolutions to 11
    bits (TF32), a TPU to 8 (bfloat16).

    Args:
        replica: Network, optimizer and loss.
        images: uint8 [size, height, width, channels].
        labels: int [size].
        augment: From images uint8 [batch, height, width, channels] and draws float32 [batch, n] to such images.
        most: The most iterations in a call, which is compiled once for any number of them.

    Returns:
        Function of (iterator over pairs of indices int [batch] and draws float32 [batch, n], learning rates float [k])
        that returns the losses float32 [k] and the numbers of wrongly classified images int32 [k].
    """
    import jax
    import jax.numpy as jnp

    network, optimizer = replica.model, replica.optimizer
    groups = (network.trainable_variables, network.non_trainable_variables, optimizer.variables)
    held = jax.device_put((images, labels.astype(np.int32)))

    def loss_of(trainable, state, images, labels):
        logits, state = network.stateless_call(trainable, state, images, training=True)
        return ops.sum(replica.loss(logits, labels)) / replica.global_batch_size, (logits, state)

    def iteration(values, images, labels, rate):
        trainable, state, slots = values
        (loss, (logits, state)), gradients = jax.value_and_grad(loss_of, has_aux=True)(trainable, state, images, labels)
        trainable, slots = _update(replica, trainable, slots, gradients, rate)
        return (trainable, state, slots), loss, jnp.count_nonzero(losses.misclassified(logits, labels))

    @functools.partial(jax.jit, donate_argnums=0)
    def run(values, held, indices, draws, rates, count):
        images, labels = held

        def one(k, carry):
            values, losses, wrong = carry
            seen = augment(images[indices[k]], draws[k])
            values, loss, wrongs = iteration(values, seen, labels[indices[k]], rates[k])
            return values, losses.at[k].set(loss), wrong.at[k].set(wrongs)

        with jax.default_matmul_precision("float32"):
            return jax.lax.fori_loop(0, count, one, (values, jnp.zeros(most), jnp.zeros(most, jnp.int32)))

    def call(batches: Iterator[tuple[np.ndarray, np.ndarray]], rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        count = len(rates)
        indices, draws = zip(*itertools.islice(batches, count), strict=True)
        parts = (_filled(np.stack(indices), most), _filled(np.stack(draws), most), _filled(rates, most))
        values = tuple([variable.value for variable in group] for group in groups)
        values, losses, wrong = run(values, held, *parts, count)
        for variables, new in zip(groups, values, strict=True):
            for variable, value in zip(variables, new, strict=True):
                variable.assign(value)
        return np.asarray(losses)[:count], np.asarray(wrong)[:count]

    return call


def _update(replica: Replica, trainable, slots, gradients, rate):
    """The weights and the optimizer's variables after an iteration."""
    optimizer, weights = replica.optimizer, replica.model.trainable_variables
    if replica.global_clipnorm:
        norm = ops.sqrt(sum(ops.sum(ops.square(gradient)) for gradient in gradients))
        shrink = replica.global_clipnorm / ops.maximum(norm, replica.global_clipnorm)
        gradients = [gradient * shrink for gradient in gradients]
    now = [*zip(weights, trainable, strict=True), *zip(optimizer.variables, slots, strict=True)]
    with keras.StatelessScope(state_mapping=now) as scope:
        optimizer.learning_rate.assign(rate)
        optimizer.iterations.assign_add(1)
        for variable, gradient in zip(weights, gradients, strict=True):
            optimizer.update_step(gradient, variable, rate)
    return tuple([scope.get_current_value(v) for v in group] for group in (weights, optimizer.variables))


def _filled(rows: np.ndarray, length: int) -> np.ndarray:
    """[length, …]: zeros after the rows; float32 or int32, as JAX has them."""
    filled = np.zeros((length, *rows.shape[1:]), "float32" if rows.dtype.kind == "f" else "int32")
    filled[: len(rows)] = rows
    return filled
