"""Figure of a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm

from keras_resnet.analysis import drawing

NUMBERED = 20
"""The most classes whose numbers are written into the cells."""
NAMED = 100
"""The most classes that are named along the axes."""


def draw(counts: np.ndarray, class_names: Sequence[str], title: str) -> bytes:
    """Draws a confusion matrix: the darker a cell, the larger its share of the images of a true class.

    Args:
        counts: int64 [classes, classes]: rows are true classes, columns predicted ones.
        class_names: One for each class.
        title: Above the picture.

    Returns:
        A PNG file. Up to `NUMBERED` classes the cells show their counts, up to `NAMED` the axes the names.
    """
    classes = len(counts)
    inches = 8 if classes <= NUMBERED else 12  # at least one dot for each of a thousand classes
    figure = drawing.new(inches + 1, inches)
    axes = figure.add_subplot(xlabel="predicted class", ylabel="true class")
    axes.set_title(title, parse_math=False)
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # A root, so that the few images that are mistaken stand out beside the many that are not.
    drawn = axes.imshow(shares, cmap="Blues", norm=PowerNorm(1 / 3, vmin=0, vmax=100))
    figure.colorbar(drawn, ax=axes, label="images of the true class (%)", ticks=[0, 1, 5, 20, 50, 100], shrink=0.8)
    if classes <= NAMED:
        size = 10 if classes <= NUMBERED else 6
        axes.set_xticks(range(classes), class_names, rotation=90, fontsize=size, parse_math=False)
        axes.set_yticks(range(classes), class_names, fontsize=size, parse_math=False)
    if classes <= NUMBERED:
        _write_numbers(axes, counts, shares)
    return drawing.encoded(figure)


def _write_numbers(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    for true, predicted in np.argwhere(counts):
        color = "white" if shares[true, predicted] > 20 else "black"
        axes.text(predicted, true, f"{counts[true, predicted]:,}", ha="center", va="center", color=color)
