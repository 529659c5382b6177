"""The scores of one network, or of several together, for every image of a split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_resnet.evaluation.error_rates import ErrorRates, tops
from keras_resnet.evaluation.intervals import wilson
from keras_resnet.models.compiled import compiled
from keras_resnet.optimization import losses

TOP = 5
"""The largest scores that are kept of every image."""


@dataclass(frozen=True)
class Scored:
    """The scores of every image of a split, in its order.

    Attributes:
        labels: int32 [images].
        losses: float32 [images], the cross-entropy of the averaged scores.
        wrong: bool [images] for each k of `error_rates.tops`: whether the label is not among the k largest scores.
        classes: int32 [images, 5], the classes of the largest scores, the largest first; fewer of fewer classes.
        scores: float32 [images, 5], their scores of 0 to 1.
    """

    labels: np.ndarray
    losses: np.ndarray
    wrong: dict[int, np.ndarray]
    classes: np.ndarray
    scores: np.ndarray

    @property
    def errors(self) -> ErrorRates:
        """Mean loss and errors."""
        images, loss = len(self.labels), self.losses.mean(dtype=np.float64)
        errors = {k: float(100 * wrong.mean()) for k, wrong in self.wrong.items()}
        return ErrorRates(images, float(loss), errors[1], errors.get(5))

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """95% confidence intervals of the top-1 error and, where there is one, of the top-5 error, in percent."""
        return {f"top{k}": wilson(int(wrong.sum()), len(wrong)) for k, wrong in self.wrong.items()}


def score(
    networks: Sequence[keras.Model],
    batches: Iterable[Any],
    images: int,
    progress: Callable[[int], Any] = lambda done: None,
) -> Scored:
    """Scores every image by all networks, on one device, and averages their softmax scores.

    Args:
        networks: From uint8 images to logits, each with its own normalization; see `EvaluationView.prepare`.
        batches: As in `EvaluationView`.
        images: How many there must be.
        progress: Called after every batch with the number of images so far.

    Raises:
        RuntimeError: if another number of images was counted.
    """

    def measure(models, images, labels):
        logarithms = log_scores(models, images)
        classes = logarithms.shape[-1]
        values, largest = ops.top_k(logarithms, min(TOP, classes))
        wrong = {k: losses.misclassified(logarithms, labels, k) for k in tops(classes)}
        return labels, losses.cross_entropy(logarithms, labels), wrong, ops.cast(largest, "int32"), ops.exp(values)

    run = compiled(measure, networks, getattr(batches, "element_spec", None))
    rows, counted = [], 0
    for batch in batches:
        columns = run(*batch)
        counts = columns[0] >= 0
        rows.append(keras.tree.map_structure(lambda column, counts=counts: column[counts], columns))
        counted += int(counts.sum())
        progress(counted)
    if counted != images:
        raise RuntimeError(f"{counted} images were evaluated, but the split has {images}")
    return Scored(*keras.tree.map_structure(lambda *parts: np.concatenate(parts), *rows))


def log_scores(models: Sequence[Callable], images: Sequence[Any]) -> Any:
    """The logarithms of averaged softmax scores: over crops and positions first, then over scales and networks.

    Logarithms serve as logits do, and hold scores that are too small for a float32.

    Args:
        models: From uint8 images [batch, height, width, channels] to logits [batch, …, classes].
        images: For each scale, uint8 [batch, crops, height, width, channels].

    Returns:
        float32 [batch, classes].
    """
    each = [_log_scores_at_one_scale(model, scale) for model in models for scale in images]
    return _log_mean(ops.stack(each, axis=1))


def _log_scores_at_one_scale(model: Callable, images: Any) -> Any:
    """float32 [batch, classes] of one network at one scale."""
    shape = ops.shape(images)
    logits = model(ops.reshape(images, (-1, *shape[2:])))
    each = ops.log_softmax(ops.cast(logits, "float32"))
    return _log_mean(ops.reshape(each, (shape[0], -1, logits.shape[-1])))


def _log_mean(logarithms: Any) -> Any:
    """[batch, classes] of [batch, number, classes]: the logarithm of the mean."""
    number = ops.cast(ops.shape(logarithms)[1], "float32")
    return ops.logsumexp(logarithms, axis=1) - ops.log(number)
