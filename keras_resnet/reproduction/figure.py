"""The training curves of several networks in the form of the paper's Figures 1, 4 and 6."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from keras_resnet.analysis import drawing
from keras_resnet.reporting import curves_figure
from keras_resnet.runs.history import Row


def draw(
    panels: Sequence[tuple[str, Sequence[str]]],
    curves: Mapping[str, Sequence[Row]],
    path: str | os.PathLike,
    title: str = "",
) -> Path:
    """Draws the errors over the iterations, in a diagram for each panel: dashed of training, solid of validation.

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
    figure = drawing.new(1.0 + 4.6 * len(panels), 4.8)
    figure.suptitle(title)
    colors = {name: f"C{place}" for place, name in enumerate(dict.fromkeys(n for _, names in panels for n in names))}
    diagrams = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (name, networks) in zip(diagrams, panels, strict=True):
        for network in networks:
            for column in curves_figure.ERRORS:
                curves_figure.plot(axes, curves.get(network, ()), column, color=colors[network])
        axes.set(xlabel="iterations", title=name, xlim=(0, None), ylim=(0, curves_figure.top(curves.values())))
        axes.grid(alpha=0.3)
        _legend(axes, {name: colors[name] for name in networks}, curves)
    diagrams[0].set_ylabel("error (%)")
    return drawing.save(figure, path)


def _legend(axes: Axes, colors: Mapping[str, str], curves: Mapping[str, Sequence[Row]]) -> None:
    """The names of the networks below a diagram, where they hide no curve, and what is dashed."""
    networks = [
        Line2D([], [], color=color, linewidth=3, label=name if curves.get(name) else f"{name}: not run")
        for name, color in colors.items()
    ]
    axes.legend(
        handles=[*networks, *curves_figure.key(color="gray")],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
        ncols=3,
        frameon=False,
        fontsize="small",
    )
