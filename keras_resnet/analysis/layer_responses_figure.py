"""Figure of the layer responses of several networks, in the form of the paper's Figure 7."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from keras_resnet.analysis import drawing


def draw(responses: Mapping[str, Sequence[float]], path: str | os.PathLike, dashed: Sequence[str] = ()) -> Path:
    """Draws the standard deviations of the layers' responses: in the order of the layers, below it sorted.

    Args:
        responses: By the name of a network, the standard deviation of each layer.
        path: The picture to write; its suffix (.png, .svg, .pdf) decides the format.
        dashed: The networks whose lines are dashed, such as the plain ones.

    Returns:
        The path of the picture.

    Reference:
        He et al., 2015, Figure 7.
    """
    figure = drawing.new(6.4, 6.4)
    ordered, ranked = figure.subplots(2, 1, sharex=True, sharey=True)
    _draw_lines(ordered, responses, dashed)
    _draw_lines(ranked, {name: sorted(values, reverse=True) for name, values in responses.items()}, dashed)
    ordered.set(xlabel="layer", ylabel="standard deviation", title="responses of the 3x3 layers", ylim=(0, None))
    ranked.set(xlabel="layer, sorted by magnitude", ylabel="standard deviation")
    ordered.xaxis.set_tick_params(labelbottom=True)
    drawing.count_along(ordered.xaxis)
    ordered.legend()
    return drawing.save(figure, path)


def _draw_lines(axes: Axes, responses: Mapping[str, Sequence[float]], dashed: Sequence[str]) -> None:
    for name, values in responses.items():
        style = "--" if name in dashed else "-"
        # Without markers a network of a single layer would not be seen.
        axes.plot(range(1, len(values) + 1), values, style, marker=".", markersize=4, linewidth=1.2, label=name)
    axes.grid(alpha=0.3)
