"""The training and the evaluation of one iteration, lowered for devices that need not be there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_resnet.models.layers.replicas import AXIS
from keras_resnet.optimization import losses

if TYPE_CHECKING:
    from jax.sharding import Mesh
    from jax.stages import Lowered


def lower_training(
    network: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    mesh: Mesh,
    *,
    per_replica_batch_size: int,
    image_shape: tuple[int, int, int],
    loss: Callable = losses.cross_entropy,
    global_clipnorm: float | None = None,
) -> Lowered:
    """One iteration of a training: what a loop over iterations runs, and costs, again and again.

    A loop is left out, as compilers count its body once, whatever the number of its rounds.

    Args:
        network: From images to logits.
        optimizer: Built.
        mesh: Of one axis, `AXIS`.
        per_replica_batch_size: Images of a device.
        image_shape: (height, width, channels).
        loss: From logits float32 [batch, classes] and labels int32 [batch] to the loss of each image, float32 [batch].
        global_clipnorm: The largest norm of the gradient over all weights.
    """
    import jax
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec

    replicas = mesh.devices.size
    images = replicas * per_replica_batch_size

    def step(trainable, state, slots, images_, labels, rate):
        def loss_of(trainable):
            logits, new = network.stateless_call(trainable, [each[0] for each in state], images_, training=True)
            return ops.sum(loss(logits, labels)) / images, (logits, new)

        (mean, (logits, new)), gradients = jax.value_and_grad(loss_of, has_aux=True)(trainable)
        count = jnp.count_nonzero(losses.misclassified(logits, labels)).astype("float32")
        gradients, mean, count = jax.lax.psum((gradients, mean, count), AXIS)
        if global_clipnorm:
            norm = ops.sqrt(sum(ops.sum(ops.square(gradient)) for gradient in gradients))
            gradients = [each * (global_clipnorm / ops.maximum(norm, global_clipnorm)) for each in gradients]
        trainable, slots = _updated(network, optimizer, trainable, slots, gradients, rate)
        return trainable, [each[None] for each in new], slots, mean, count

    everywhere, divided = PartitionSpec(), PartitionSpec(AXIS)
    kinds = (everywhere, divided, everywhere, divided, divided, everywhere)
    results = (everywhere, divided, everywhere, everywhere, everywhere)
    arguments = (
        _like(network.trainable_variables),
        _like(network.non_trainable_variables, replicas),  # each replica has its own moving statistics
        _like(optimizer.variables),
        jax.ShapeDtypeStruct((images, *image_shape), "uint8"),
        jax.ShapeDtypeStruct((images,), "int32"),
        jax.ShapeDtypeStruct((), "float32"),
    )
    return _lower(step, mesh, kinds, results, arguments, donated=(0, 1, 2))


def lower_evaluation(
    network: keras.Model,
    mesh: Mesh,
    *,
    per_replica_batch_size: int,
    image_shape: tuple[int, int, int],
) -> Lowered:
    """The evaluation of one batch: the images that count, the sum of their losses, the misclassified ones (1 and 5).

    Args:
        network: From images to logits.
        mesh: Of one axis, `AXIS`.
        per_replica_batch_size: Images of a device.
        image_shape: (height, width, channels).
    """
    import jax
    from jax.sharding import PartitionSpec

    images = mesh.devices.size * per_replica_batch_size

    def measure(trainable, state, images_, labels):
        logits, _ = network.stateless_call(trainable, state, images_, training=False)
        wrong = [ops.count_nonzero(losses.misclassified(logits, labels, k)) for k in (1, 5)]
        sums = [ops.count_nonzero(labels >= 0), ops.sum(losses.cross_entropy(logits, labels)), *wrong]
        return jax.lax.psum([ops.cast(each, "float32") for each in sums], AXIS)

    everywhere, divided = PartitionSpec(), PartitionSpec(AXIS)
    arguments = (
        _like(network.trainable_variables),
        _like(network.non_trainable_variables),
        jax.ShapeDtypeStruct((images, *image_shape), "uint8"),
        jax.ShapeDtypeStruct((images,), "int32"),
    )
    return _lower(measure, mesh, (everywhere, everywhere, divided, divided), everywhere, arguments)


def _updated(network, optimizer, trainable, slots, gradients, rate):
    """The weights and the optimizer's variables after an iteration."""
    weights = network.trainable_variables
    now = [*zip(weights, trainable, strict=True), *zip(optimizer.variables, slots, strict=True)]
    with keras.StatelessScope(state_mapping=now) as scope:
        optimizer.learning_rate.assign(rate)
        optimizer.iterations.assign_add(1)
        for variable, gradient in zip(weights, gradients, strict=True):
            optimizer.update_step(gradient, variable, rate)
    return tuple([scope.get_current_value(each) for each in group] for group in (weights, optimizer.variables))


def _like(variables: Sequence[keras.Variable], replicas: int | None = None) -> list[Any]:
    """The shapes and types of variables; with a first axis for the replicas."""
    import jax

    more = () if replicas is None else (replicas,)
    return [jax.ShapeDtypeStruct((*more, *variable.shape), variable.dtype) for variable in variables]


def _lower(function: Callable, mesh: Mesh, kinds, results, arguments, donated: tuple[int, ...] = ()) -> Lowered:
    """A function that every device runs on its part of the arguments; float32 is computed in float32."""
    import jax
    from jax.sharding import NamedSharding

    def place(spec):
        return jax.tree.map(lambda each: NamedSharding(mesh, each), spec)

    each = jax.shard_map(function, mesh=mesh, in_specs=kinds, out_specs=results, check_vma=False)
    with jax.default_matmul_precision("float32"):
        jitted = jax.jit(each, in_shardings=place(kinds), out_shardings=place(results), donate_argnums=donated)
        return jitted.lower(*arguments)
