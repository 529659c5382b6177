"""Top-1 and top-5 error over a whole split on the devices of a mesh."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import ops

from keras_resnet.evaluation.error_rates import ErrorRates
from keras_resnet.models.layers.replicas import AXIS
from keras_resnet.optimization import losses
from keras_resnet.training.jax.mesh import in_replicas
from keras_resnet.training.jax.variables import Layout, Values, Variables
from keras_resnet.training.variable_names import prefixed

if TYPE_CHECKING:
    import jax


def measuring(model: keras.Model, layout: Layout, mesh: jax.sharding.Mesh) -> Callable:
    """The compiled function from (values, images, labels) of a batch to sums over it, on every device the same.

    They are the images counted, int32, their loss, float32, and those misclassified by the first and by the first
    five, int32. Its labels may be -1, of images that only fill up the batch.
    """
    import jax
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec

    groups = (model.trainable_variables, model.non_trainable_variables)
    trainable, state = (list(prefixed("model", group)) for group in groups)

    def measure(values: Values, images: jax.Array, labels: jax.Array) -> tuple:
        of = layout.of_replica(values)
        with jax.default_matmul_precision("float32"):
            logits, _ = model.stateless_call([of[n] for n in trainable], [of[n] for n in state], images, training=False)
        misclassified = (jnp.count_nonzero(losses.misclassified(logits, labels, k)) for k in (1, 5))
        sums = jnp.count_nonzero(labels >= 0), ops.sum(losses.cross_entropy(logits, labels)), *misclassified
        return jax.lax.psum(sums, AXIS)

    divided = PartitionSpec(AXIS)
    inputs = (layout.specs, divided, divided)
    return jax.jit(in_replicas(measure, mesh, inputs, PartitionSpec()))


def evaluator(model: keras.Model, variables: Variables) -> Callable[[Iterable, int], ErrorRates]:
    """The function that measures a model on batches of one shape; it is compiled once.

    Args:
        model: From uint8 images [batch, height, width, channels] to logits [batch, classes].
        variables: Its values, on the devices.

    Returns:
        Function of (batches, images): batches of all replicas, and the number of images that they must hold. It raises
        a `RuntimeError` if another number was counted.
    """
    import jax

    measure = measuring(model, variables.layout, variables.mesh)

    def evaluate(batches: Iterable, images: int) -> ErrorRates:
        # Replicas have moving statistics of their own; what is saved, and so to be measured, is the mean of them.
        variables.average_statistics()
        sums, waiting = np.zeros(4), None
        for pixels, labels in batches:
            given, waiting = waiting, measure(variables.values, pixels, labels)
            sums += [0.0] * 4 if given is None else jax.device_get(given)
        sums += [0.0] * 4 if waiting is None else jax.device_get(waiting)
        variables.show()
        return ErrorRates.from_sums(*sums.tolist(), images=images, classes=model.output_shape[-1])

    return evaluate
