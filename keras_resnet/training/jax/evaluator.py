"""Top-1 and top-5 error over a whole split on JAX."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import keras
import numpy as np
from keras import ops

from keras_resnet.evaluation.error_rates import ErrorRates
from keras_resnet.optimization import losses


def evaluator(model: keras.Model) -> Callable[[Iterable, int], ErrorRates]:
    """The function that measures a model on batches of one shape; it is compiled once.

    Args:
        model: From uint8 images [batch, height, width, channels] to logits [batch, classes].

    Returns:
        Function of (batches, images): batches of arrays, as `evaluation_batches` makes them, and the
        number of images that they must hold. It raises a `RuntimeError` if another number was counted.
    """
    import jax

    @jax.jit
    def measure(trainable, state, images, labels):
        with jax.default_matmul_precision("float32"):
            logits, _ = model.stateless_call(trainable, state, images, training=False)
        misclassified = (ops.count_nonzero(losses.misclassified(logits, labels, k)) for k in (1, 5))
        return ops.count_nonzero(labels >= 0), ops.sum(losses.cross_entropy(logits, labels)), *misclassified

    def evaluate(batches: Iterable, images: int) -> ErrorRates:
        values = [[v.value for v in of] for of in (model.trainable_variables, model.non_trainable_variables)]
        sums = np.zeros(4)
        for pixels, labels in batches:
            sums += [float(part) for part in measure(*values, np.asarray(pixels), np.asarray(labels))]
        return ErrorRates.from_sums(*sums.tolist(), images=images, classes=model.output_shape[-1])

    return evaluate
