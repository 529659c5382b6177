"""Training curves in the form of the paper's Figures 4 and 6."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from keras_resnet.analysis import drawing
from keras_resnet.runs.history import Row

TRAINING: dict[str, Any] = {"linewidth": 1.0, "linestyle": (0, (3.5, 1.5))}
VALIDATION: dict[str, Any] = {"linewidth": 2.0, "linestyle": "-"}
STYLES = {
    "training_error": TRAINING,
    "validation_error": VALIDATION,
    "loss": TRAINING,
    "validation_loss": VALIDATION,
    "learning_rate": VALIDATION,
}
"""How a column of `history.csv` is drawn: what is of training images is dashed."""
ERRORS = ("training_error", "validation_error")


def draw(rows: Iterable[Row], path: str | os.PathLike, title: str) -> Path:
    """Draws the errors of a run over its iterations: dashed the training error, solid the validation error.

    Args:
        rows: Of `history.csv`, in order.
        path: The picture to write; its suffix (.png, .svg, .pdf) decides the format.
        title: Above the axes.

    Returns:
        The path of the picture.

    Reference:
        He et al., 2015, Figure 6.
    """
    rows = list(rows)
    figure = drawing.new(6.4, 4.0)
    axes = figure.add_subplot(xlabel="iterations", ylabel="error (%)")
    axes.set_title(title, parse_math=False)
    lines = [
        plot(axes, rows, column, color=color, label=column.replace("_", " "))
        for column, color in zip(ERRORS, ("C0", "C1"), strict=True)
    ]
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    drawing.count_along(axes.xaxis)
    if any(lines):
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return drawing.save(figure, path)


def plot(axes: Axes, rows: Sequence[Row], column: str, **options: Any) -> Line2D | None:
    """Draws a column of a history over the iterations, in the style of that column.

    The line breaks where a value is no finite number. A point that has no neighbor is a dot, so that a single
    validation is seen.

    Args:
        axes: To draw into.
        rows: Of `history.csv`, in order.
        column: A key of `STYLES`.
        **options: Of `Axes.plot`, such as the color.

    Returns:
        The line; `None` if nothing was measured.
    """
    points = [(row.iteration, value) for row in rows if (value := getattr(row, column)) is not None]
    if not points:
        return None
    iterations, values = zip(*points, strict=True)
    known = [False, *map(math.isfinite, values), False]
    lonely = [at for at in range(len(values)) if known[at + 1] and not known[at] and not known[at + 2]]
    dots = {"marker": "o", "markersize": 3.5, "markevery": lonely} if lonely else {}
    [line] = axes.plot(iterations, values, **{**STYLES[column], **dots, **options})
    return line


def top(runs: Iterable[Iterable[Row]]) -> float | None:
    """The upper end of a diagram of errors in percent: above the last ones, as in the paper, to tell the ends apart.

    Args:
        runs: The rows of each run in it.

    Returns:
        Twice the largest error that a curve ends with; `None` if there is none above 0.
    """
    last: list[float] = []
    for rows in map(list, runs):
        for column in ERRORS:
            known = [value for row in rows if (value := getattr(row, column)) is not None and math.isfinite(value)]
            last += known[-1:]
    return min(100.0, 2.0 * max(last)) if any(last) else None


def key(**options: Any) -> list[Line2D]:
    """What a legend shows of the two styles of lines."""
    return [
        Line2D([], [], label=label, **style, **options)
        for label, style in (("training", TRAINING), ("validation", VALIDATION))
    ]
