"""The figures of a page: what the runs recorded, over the iterations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from keras_resnet.analysis import drawing
from keras_resnet.reporting import curves_figure
from keras_resnet.reporting.html import svg, tables
from keras_resnet.reporting.html.markup import Markup, element, join
from keras_resnet.reporting.html.reading import RunRecord

INCHES = {True: (12.4, 4.4), False: (6.6, 3.6)}
"""Width and height of a figure by whether it is as wide as the page."""

MARKERS = (None, "o", "s")
"""What tells runs of the same color apart; as many as `tables.MARKS`."""


@dataclass(frozen=True)
class Panel:
    """A figure of the page, with a curve of each run for each of its columns."""

    name: str
    title: str
    columns: tuple[str, ...]
    note: str = ""
    """Beside the title."""
    wide: bool = False
    cut: bool = False
    """Whether it ends at twice the last values, as the paper's diagrams of errors do."""
    ratios: bool = False
    """Whether equal ratios have equal distances, where all values are positive."""


PANELS = (
    Panel("error", "Error", curves_figure.ERRORS, "percent, up to twice the last errors", wide=True, cut=True),
    Panel("loss", "Loss", ("loss", "validation_loss")),
    Panel("learning-rate", "Learning rate", ("learning_rate",), ratios=True),
)


def figures(runs: Sequence[RunRecord]) -> Markup:
    """Each panel in which something was measured, as an HTML figure with an inline SVG."""
    return join(_figure(panel, runs) for panel in PANELS if any(_values(run, panel) for run in runs))


def _figure(panel: Panel, runs: Sequence[RunRecord]) -> Markup:
    caption = join([f"{panel.title} ", *([element("small", panel.note)] if panel.note else [])])
    drawn = svg.inline(
        drawing.encoded(_draw(panel, runs), "svg", real_text=True),
        f"figure-{panel.name}",
        f"{panel.title} over the iterations",
        " ".join(_described(panel, runs)),
    )
    scrolled = element("div", drawn, class_="plot", role="region", aria_label=panel.title, tabindex="0")
    return element("figure", element("figcaption", caption), scrolled, class_="wide" if panel.wide else None)


def _draw(panel: Panel, runs: Sequence[RunRecord]) -> Any:
    figure = drawing.new(*INCHES[panel.wide])
    figure.patch.set_visible(False)
    axes = figure.add_subplot(xlabel="iterations")
    axes.patch.set_visible(False)
    for position, run in enumerate(runs):
        for column in panel.columns:
            _draw_curve(axes, position if len(runs) > 1 else tables.KINDS[_kind(column)], run, column)
    values = [value for run in runs for value in _values(run, panel)]
    if panel.ratios and min(values) > 0:
        axes.set_yscale("log")
    else:
        axes.set_ylim(min(0.0, *values), curves_figure.top(run.rows for run in runs) if panel.cut else None)
    axes.set_xlim(left=0)
    drawing.count_along(axes.xaxis)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.tick_params(which="both", length=0, labelsize=9)
    axes.grid(axis="y", color=svg.INK, alpha=0.13)
    return figure


def _draw_curve(axes: Axes, position: int, run: RunRecord, column: str) -> None:
    marked = {}
    if (marker := MARKERS[tables.mark(position)]) and curves_figure.STYLES[column] is curves_figure.VALIDATION:
        marked = {"marker": marker, "markersize": 4.5, "markevery": 0.1}
    look = f"{svg.CLASS}curve {tables.look(position)} {column}"
    curves_figure.plot(axes, run.rows, column, gid=look, color=f"C{position}", **marked)


def _kind(column: str) -> str:
    """The images that a column is of: a key of `tables.KINDS`."""
    return "validation" if column.startswith("validation_") else "training"


def _values(run: RunRecord, panel: Panel) -> list[float]:
    """The finite values of a run in a panel."""
    measured = (getattr(row, column) for row in run.rows for column in panel.columns)
    return [value for value in measured if value is not None and math.isfinite(value)]


def _described(panel: Panel, runs: Sequence[RunRecord]) -> Iterator[str]:
    """A sentence for each curve: where it ends."""
    for run in runs:
        for column in panel.columns:
            known = [(row.iteration, value) for row in run.rows if (value := getattr(row, column)) is not None]
            if known:
                iteration, value = known[-1]
                yield f"{run.label}, {column.replace('_', ' ')}: {value:.4g} at iteration {iteration:,}."
