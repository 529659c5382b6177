"""Confusion matrix over a split, every image counted exactly once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_resnet.models.compiled import compiled
from keras_resnet.optimization import losses


@dataclass(frozen=True)
class Classified:
    """Every image of a split as a network classifies it, in the order of the split.

    Attributes:
        labels: int32 [images].
        predicted: int32 [images], as `predicted` decides.
        scores: float32 [images], of the predicted class, 0 to 1.
        label_scores: float32 [images], of the label.
    """

    labels: np.ndarray
    predicted: np.ndarray
    scores: np.ndarray
    label_scores: np.ndarray

    def counts(self, classes: int) -> np.ndarray:
        """The confusion matrix, int64 [classes, classes]: see `matrix`."""
        counts = np.zeros([classes, classes], np.int64)
        np.add.at(counts, (self.labels, self.predicted), 1)
        return counts

    def mistakes(self) -> np.ndarray:
        """The indices of the images that are mistaken, the surest mistake first."""
        wrong = np.flatnonzero(self.labels != self.predicted)
        return wrong[np.argsort(-self.scores[wrong], kind="stable")]


def classify(network: keras.Model, batches: Iterable[Any], images: int) -> Classified:
    """Classifies every image of a split.

    Args:
        network: From uint8 images [batch, height, width, channels] to logits [batch, classes].
        batches: As the `evaluation_batches` of a road make them; see `data.roads`.
        images: How many they must hold.

    Raises:
        RuntimeError: if another number of images was counted.
    """

    def measure(models, batch, labels):
        logits = ops.cast(models[0](batch), "float32")
        found, scores = predicted(logits, labels), ops.softmax(logits)

        def of_class(number):
            return ops.take_along_axis(scores, ops.expand_dims(ops.maximum(number, 0), -1), axis=-1)[:, 0]

        return labels, found, of_class(found), of_class(labels)

    run = compiled(measure, [network], getattr(batches, "element_spec", None))
    rows = [[column[columns[0] >= 0] for column in columns] for columns in (run(*batch) for batch in batches)]
    found = Classified(*(np.concatenate(column) for column in zip(*rows, strict=True)))
    if len(found.labels) != images:
        raise RuntimeError(f"{len(found.labels)} images were counted, but the split has {images}")
    return found


def matrix(network: keras.Model, batches: Iterable[Any], images: int) -> np.ndarray:
    """Counts the images of each class by the class that the network predicts.

    Args:
        network: As for `classify`, like the other arguments.
        batches: As for `classify`.
        images: As for `classify`.

    Returns:
        int64 [classes, classes]: rows are true classes, columns predicted ones. What is off the diagonal is the top-1
        error, exactly as `evaluation.error_rates` counts it.

    Raises:
        RuntimeError: if another number of images was counted.
    """
    return classify(network, batches, images).counts(network.output_shape[-1])


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
