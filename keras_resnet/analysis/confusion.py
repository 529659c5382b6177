"""Confusion matrix over a split, every image counted exactly once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from keras_resnet.models.compiled import compiled
from keras_resnet.optimization import losses

if TYPE_CHECKING:
    import tensorflow as tf


def matrix(network: keras.Model, batches: tf.data.Dataset, images: int) -> np.ndarray:
    """Counts the images of each class by the class that the network predicts.

    Args:
        network: From uint8 images [batch, height, width, channels] to logits [batch, classes].
        batches: As `data.batches.evaluation_batches` makes them.
        images: How many they must hold.

    Returns:
        int64 [classes, classes]: rows are true classes, columns predicted ones. What is off the diagonal is the top-1
        error, exactly as `evaluation.error_rates` counts it.

    Raises:
        RuntimeError: if another number of images was counted.
    """

    def classify(models, batch, labels):
        return predicted(models[0](batch), labels)

    run = compiled(classify, [network], batches.element_spec)
    classes = network.output_shape[-1]
    counts = np.zeros([classes, classes], np.int64)
    for batch, labels in batches:
        true, classified = np.asarray(labels), run(batch, labels)
        counted = true >= 0
        np.add.at(counts, (true[counted], classified[counted]), 1)
    if counts.sum() != images:
        raise RuntimeError(f"{counts.sum()} images were counted, but the split has {images}")
    return counts


def predicted(logits: Any, labels: Any) -> Any:
    """The class of the largest logit; in a draw with the label, the other class, because a draw counts as wrong.

    Args:
        logits: float32 [batch, classes]; one that is not a number counts as the largest.
        labels: int32 [batch]; -1 marks an image that only fills up its batch.

    Returns:
        int32 [batch]; -1 for images that fill up.
    """
    own = ops.expand_dims(labels, -1) == ops.arange(logits.shape[-1], dtype=labels.dtype)
    largest = ops.where(ops.isnan(logits), np.inf, logits)
    other = ops.cast(ops.argmax(ops.where(own, -np.inf, largest), axis=-1), labels.dtype)
    return ops.where(losses.misclassified(logits, labels), other, labels)


@dataclass(frozen=True)
class ClassError:
    """The errors among the images of a class."""

    label: int
    images: int
    wrong: int
    error: float
    """Percent of the images."""


def by_class(counts: np.ndarray) -> list[ClassError]:
    """The error of each class that has images, the worst first; of equal ones, that of more images.

    Args:
        counts: int64 [classes, classes], as `matrix` returns them.
    """
    images, right = counts.sum(axis=1), counts.diagonal()
    found = [
        ClassError(label, int(all_), int(all_ - hits), float(100 * (all_ - hits) / all_))
        for label, (all_, hits) in enumerate(zip(images, right, strict=True))
        if all_
    ]
    return sorted(found, key=lambda row: (-row.error, -row.images, row.label))


def most_frequent(counts: np.ndarray) -> list[tuple[int, int, int]]:
    """The confusions that occur, the most frequent first.

    Args:
        counts: int64 [classes, classes], as `matrix` returns them.

    Returns:
        (true class, predicted class, images).
    """
    off_diagonal = counts - np.diag(counts.diagonal())
    found = [(int(true), int(other), int(off_diagonal[true, other])) for true, other in np.argwhere(off_diagonal)]
    return sorted(found, key=lambda confusion: -confusion[2])
