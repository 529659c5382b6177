"""The training and the evaluation of one iteration, lowered for devices that need not be there.

What is lowered is what trains and evaluates: `multi_step.step` of a `Replica`, and `evaluator.measuring`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras

from keras_resnet.facts.augmentation import draws
from keras_resnet.models.layers.replicas import AXIS
from keras_resnet.optimization import losses
from keras_resnet.training.backend import TrainingImages
from keras_resnet.training.jax import evaluator, held_images, multi_step
from keras_resnet.training.jax.replica import Replica
from keras_resnet.training.jax.variables import Layout

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
    accumulation: int = 1,
    loss: Callable = losses.cross_entropy,
    global_clipnorm: float | None = None,
    ema_momentum: float | None = None,
    scale_loss: bool = False,
    held: TrainingImages | None = None,
) -> Lowered:
    """One iteration of a training: what a loop over iterations runs, and costs, again and again.

    The loop over iterations is left out, as compilers count its body once, whatever the number of its rounds.

    Args:
        network: From images to logits.
        optimizer: Built.
        mesh: Of one axis, `AXIS`.
        per_replica_batch_size: Images of a device at a time.
        image_shape: (height, width, channels).
        accumulation: Parts of an iteration; those from the second on are a loop.
        loss: From logits float32 [batch, classes] and labels int32 [batch] to the loss of each image, float32 [batch].
        global_clipnorm: The largest norm of the gradient over all weights.
        ema_momentum: Momentum of the moving average; None: no average.
        scale_loss: Whether the loss is scaled, for float16.
        held: Images that the devices hold, of which only shapes are read; None: hosts send batches.
    """
    import jax

    images = mesh.size * per_replica_batch_size
    replica = Replica(
        network,
        optimizer,
        global_batch_size=images * accumulation,
        loss=loss,
        global_clipnorm=global_clipnorm,
        ema_momentum=ema_momentum,
        scale_loss=scale_loss,
    )
    layout = Layout(network, optimizer, averages=ema_momentum is not None, scales_loss=scale_loss)
    if held is None:
        read, everything = lambda everything, part: part, ()
        part = _batch(mesh, images, image_shape)
    else:
        read = held_images.reading(held)
        size, pixels = held.split.size, image_shape[0] * image_shape[1] * image_shape[2]
        everything = (_array(mesh, (size, pixels), "uint8"), _array(mesh, (size,), "int32"))
        numbers = (images, draws(held.augmentation))
        part = (_array(mesh, (images,), "int32", AXIS), _array(mesh, numbers, "float32", AXIS))
    step = multi_step.step(replica, layout, mesh, read)
    rate = jax.ShapeDtypeStruct((), "float32")
    return step.lower(layout.abstract(mesh), everything, [part] * accumulation, rate)


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
    layout = Layout(network)
    measure = evaluator.measuring(network, layout, mesh)
    return measure.lower(layout.abstract(mesh), *_batch(mesh, mesh.size * per_replica_batch_size, image_shape))


def _batch(mesh: Mesh, images: int, image_shape: tuple[int, int, int]) -> tuple[Any, Any]:
    """A batch of all devices as hosts send it."""
    return _array(mesh, (images, *image_shape), "uint8", AXIS), _array(mesh, (images,), "int32", AXIS)


def _array(mesh: Mesh, shape: tuple[int, ...], dtype: str, *axes: str) -> Any:
    """The shape and type of an array, and how the devices share it."""
    import jax

    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes))
    return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)
