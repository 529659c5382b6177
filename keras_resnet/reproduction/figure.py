"""The training curves of several networks in the form of the paper's Figures 1, 4 and 6."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
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

    Only what was run is drawn: a panel without a curve is left out, and so is the name of a network. Networks of one
    depth have one color in all diagrams, as in the paper.

    Args:
        panels: (title, names of its networks, which end with their depth).
        curves: By the name of a network, the rows of its `history.csv`, in order.
        path: The picture to write; its suffix (.png, .svg, .pdf) decides the format.
        title: Above all.

    Returns:
        The path of the picture.

    Reference:
        He et al., 2015, Figures 4 and 6.
    """
    colors = _colors(name for _, names in panels for name in names)
    panels = [(name, run) for name, names in panels if (run := [one for one in names if curves.get(one)])] or [("", [])]
    figure = drawing.new(1.0 + 4.6 * len(panels), 4.8)
    figure.suptitle(title)
    diagrams = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (name, networks) in zip(diagrams, panels, strict=True):
        for network in networks:
            for column in curves_figure.ERRORS:
                curves_figure.plot(axes, curves[network], column, color=colors[network])
        axes.set(xlabel="iterations", title=name, xlim=(0, None), ylim=(0, curves_figure.top(curves.values())))
        axes.grid(alpha=0.3)
        drawing.count_along(axes.xaxis)
        _legend(axes, {name: colors[name] for name in networks})
    diagrams[0].set_ylabel("error (%)")
    return drawing.save(figure, path)


def _colors(names: Iterable[str]) -> dict[str, str]:
    """A color for each network, by its depth."""
    depths = {name: name.rpartition("-")[2] for name in names}
    places = {depth: place for place, depth in enumerate(dict.fromkeys(depths.values()))}
    return {name: f"C{places[depth]}" for name, depth in depths.items()}


def _legend(axes: Axes, colors: Mapping[str, str]) -> None:
    """The names of the networks below a diagram, where they hide no curve, and what is dashed."""
    networks = [Line2D([], [], color=color, linewidth=3, label=name) for name, color in colors.items()]
    axes.legend(
        handles=[*networks, *curves_figure.key(color="gray")],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
        ncols=4,
        frameon=False,
        fontsize="small",
    )
