"""The training curves of several networks in the form of the paper's Figures 1, 4 and 6."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from keras_resnet.runs.history import Row

LINES = {"training_error": 0.8, "validation_error": 2.2}
"""The width of a line in points."""


def draw(
    panels: Sequence[tuple[str, Sequence[str]]],
    curves: Mapping[str, Sequence[Row]],
    path: str | os.PathLike,
    title: str = "",
) -> Path:
    """Draws the errors over the iterations, in a diagram for each panel: thin of training, bold of validation.

    Args:
        panels: (title, names of its networks).
        curves: By the name of a network, the rows of its `history.csv`, in order; a network that is missing is named as
            not run.
        path: The picture to write; its suffix (.png, .svg, .pdf) decides the format.
        title: Above all.

    Returns:
        The path of the picture.

    Reference:
        He et al., 2015, Figures 4 and 6.
    """
    # Without pyplot, which would look for a display and keep every figure alive.
    figure = Figure(figsize=(1.0 + 4.6 * len(panels), 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    colors = {name: f"C{place}" for place, name in enumerate(dict.fromkeys(n for _, names in panels for n in names))}
    diagrams = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (name, networks) in zip(diagrams, panels, strict=True):
        for network in networks:
            _draw_network(axes, network, curves.get(network, ()), colors[network])
        axes.set(xlabel="iterations", title=name, xlim=(0, None), ylim=(0, _top(curves)))
        axes.grid(alpha=0.3)
        axes.legend(title="thin: training\nbold: validation")
    diagrams[0].set_ylabel("error (%)")
    figure.savefig(path)
    return Path(path)


def _draw_network(axes: Axes, name: str, rows: Sequence[Row], color: str) -> None:
    axes.plot([], [], color=color, linewidth=LINES["validation_error"], label=name if rows else f"{name}: not run")
    for column, width in LINES.items():
        points = [(row.iteration, getattr(row, column)) for row in rows if getattr(row, column) is not None]
        if points:
            iterations, errors = zip(*points, strict=True)
            # A run with a single validation is still to be seen.
            axes.plot(iterations, errors, color=color, linewidth=width, marker="o" if len(points) == 1 else None)


def _top(curves: Mapping[str, Sequence[Row]]) -> float | None:
    """Where the diagrams end: above the last errors, as the paper's do, so that the ends can be told apart."""
    errors = [
        [error for row in rows if (error := getattr(row, column)) is not None]
        for rows in curves.values()
        for column in LINES
    ]
    last = [measured[-1] for measured in errors if measured]
    return min(100.0, 2.0 * max(last)) if any(last) else None
