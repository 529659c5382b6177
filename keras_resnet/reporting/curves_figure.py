"""Training curves in the form of the paper's Figures 4 and 6."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from keras_resnet.runs.history import Row


def draw(history_rows: Iterable[Row], path: str | os.PathLike, title: str) -> Path:
    """Draws the errors of a run over its iterations: thin the training error, bold the validation error.

    Args:
        history_rows: Rows of `history.csv`, in order.
        path: The picture to write; its suffix (.png, .svg, .pdf) decides the format.
        title: Above the axes.

    Returns:
        The path of the picture.

    Reference:
        He et al., 2015, Figure 6.
    """
    rows = list(history_rows)
    # Without pyplot, which would look for a display and keep every figure alive.
    figure = Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel="iterations", ylabel="error (%)", title=title)
    _draw_error(axes, rows, "training_error", linewidth=0.8)
    _draw_error(axes, rows, "validation_error", linewidth=2.2)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend()
    figure.savefig(path)
    return Path(path)


def _draw_error(axes: Axes, rows: list[Row], column: str, *, linewidth: float) -> None:
    points = [(row.iteration, getattr(row, column)) for row in rows if getattr(row, column) is not None]
    if points:
        iterations, errors = zip(*points, strict=True)
        # A run with a single validation is still to be seen.
        marker = "o" if len(points) == 1 else None
        label = column.replace("_", " ")
        axes.plot(iterations, errors, linewidth=linewidth, color="tab:blue", marker=marker, label=label)
