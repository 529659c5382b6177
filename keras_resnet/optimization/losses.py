"""Loss and misclassified images of a batch, on every backend."""

from __future__ import annotations

from keras import ops


def cross_entropy(logits, labels, smoothing: float = 0.0):
    """Cross-entropy of each image.

    Args:
        logits: float32 [batch, classes].
        labels: int [batch]; -1 marks an image that only fills up its batch.
        smoothing: The share of the target that all classes have in equal parts, from 0 to below 1.

    Returns:
        float32 [batch]; 0 for images that fill up.

    Reference:
        Szegedy et al., 2016, "Rethinking the Inception Architecture", Section 7, for the smoothing.
    """
    counted = labels >= 0
    log_scores = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    # The backends disagree about a label of -1: it is replaced before any of them sees it.
    of_label = ops.expand_dims(ops.maximum(labels, 0), -1)
    losses = -ops.take_along_axis(log_scores, of_label, axis=-1)[:, 0]
    if smoothing:
        losses = (1 - smoothing) * losses - smoothing * ops.mean(log_scores, axis=-1)
    return ops.where(counted, losses, ops.zeros_like(losses))


def misclassified(logits, labels, k: int = 1):
    """Whether each image has its label not among the k largest logits.

    A logit as large as that of the label counts as larger, and so does one that is not a number. An image whose label
    has such a logit is misclassified. A broken network is never right by accident.

    Args:
        logits: float32 [batch, classes].
        labels: int [batch]; -1 marks an image that only fills up its batch.
        k: 1 for the top-1 error, 5 for the top-5 error.

    Returns:
        bool [batch]; False for images that fill up.
    """
    of_label = ops.take_along_axis(logits, ops.expand_dims(ops.maximum(labels, 0), -1), axis=-1)
    smaller = ops.sum(ops.cast(logits < of_label, "int32"), axis=-1)
    # Of n classes the label is among the first k if at least n - k others are smaller.
    misses = ops.logical_or(smaller < logits.shape[-1] - k, ops.isnan(of_label[:, 0]))
    return ops.logical_and(labels >= 0, misses)
