"""Many iterations in one call on JAX: the images stay in the memory of the device.

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


def multi_step(
    network: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    images: np.ndarray,
    labels: np.ndarray,
    augment: Callable,
    *,
    global_batch_size: int,
    steps_per_execution: int,
    loss: Callable = losses.cross_entropy,
    global_clipnorm: float | None = None,
) -> Callable:
    """The function that runs as many iterations as it is given learning rates; on one device.

    What a recipe calls float32 is computed in float32: a GPU of NVIDIA would round the factors of convolutions to 11
    bits (TF32), a TPU to 8 (bfloat16).

    Args:
        network: From images to logits.
        optimizer: Only its `update_step` is used.
        images: uint8 [size, height, width, channels].
        labels: int [size].
        augment: From images uint8 [batch, height, width, channels] and draws float32 [batch, n] to such images.
        global_batch_size: Images in an iteration.
        steps_per_execution: The most iterations in a call, which is compiled once for any number of them.
        loss: From logits float32 [batch, classes] and labels int32 [batch] to the loss of each image, float32 [batch].
        global_clipnorm: The largest norm of the gradient over all weights.

    Returns:
        Function of (iterator over pairs of indices int [batch] and draws float32 [batch, n], learning rates float [k])
        that returns the losses float32 [k] and the numbers of misclassified images int32 [k].
    """
    import jax
    import jax.numpy as jnp

    groups = (network.trainable_variables, network.non_trainable_variables, optimizer.variables)
    held = jax.device_put((images, labels.astype(np.int32)))

    def loss_of(trainable, state, images, labels):
        logits, state = network.stateless_call(trainable, state, images, training=True)
        return ops.sum(loss(logits, labels)) / global_batch_size, (logits, state)

    def iteration(values, images, labels, rate):
        trainable, state, slots = values
        (mean, (logits, state)), gradients = jax.value_and_grad(loss_of, has_aux=True)(trainable, state, images, labels)
        gradients = _clipped(gradients, global_clipnorm) if global_clipnorm else gradients
        trainable, slots = _update(network, optimizer, trainable, slots, gradients, rate)
        return (trainable, state, slots), mean, jnp.count_nonzero(losses.misclassified(logits, labels))

    @functools.partial(jax.jit, donate_argnums=0)
    def run(values, held, indices, draws, rates, steps):
        images, labels = held

        def one(k, carry):
            values, means, misclassified = carry
            augmented = augment(images[indices[k]], draws[k])
            values, mean, count = iteration(values, augmented, labels[indices[k]], rates[k])
            return values, means.at[k].set(mean), misclassified.at[k].set(count)

        empty = jnp.zeros(steps_per_execution), jnp.zeros(steps_per_execution, jnp.int32)
        with jax.default_matmul_precision("float32"):
            return jax.lax.fori_loop(0, steps, one, (values, *empty))

    def call(batches: Iterator[tuple[np.ndarray, np.ndarray]], rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        steps = len(rates)
        indices, draws = zip(*itertools.islice(batches, steps), strict=True)
        rows = [_filled(np.asarray(part), steps_per_execution) for part in (indices, draws, rates)]
        values = tuple([variable.value for variable in group] for group in groups)
        values, means, misclassified = run(values, held, *rows, steps)
        for variables, new in zip(groups, values, strict=True):
            for variable, value in zip(variables, new, strict=True):
                variable.assign(value)
        return np.asarray(means)[:steps], np.asarray(misclassified)[:steps]

    return call


def _clipped(gradients, largest):
    """The gradients, scaled down to a norm over all of them."""
    norm = ops.sqrt(sum(ops.sum(ops.square(gradient)) for gradient in gradients))
    return [gradient * (largest / ops.maximum(norm, largest)) for gradient in gradients]


def _update(network, optimizer, trainable, slots, gradients, rate):
    """The weights and the optimizer's variables after an iteration."""
    weights = network.trainable_variables
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
