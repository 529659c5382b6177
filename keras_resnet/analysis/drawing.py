"""Figures of matplotlib that need no display, and whose files are the same bytes whenever they are drawn."""

from __future__ import annotations

import io
import os
from pathlib import Path

import matplotlib as mpl
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

UNDATED = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
"""Metadata by format: matplotlib would write the hour."""


def new(width: float, height: float, *, dpi: int = 150) -> Figure:
    """An empty figure.

    Args:
        width: In inches.
        height: In inches.
        dpi: Dots per inch, of a format that has dots.
    """
    # Without pyplot, which would look for a display and keep every figure alive.
    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def count_along(axis: Axis) -> None:
    """Ticks at whole numbers only, with commas between the thousands: of an axis along which something is counted."""
    axis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    axis.set_major_formatter("{x:,.0f}")


def encoded(figure: Figure, suffix: str = "png", *, real_text: bool = False) -> bytes:
    """The file of a figure.

    Args:
        figure: As `new` makes it.
        suffix: Its format: png, svg or pdf.
        real_text: Whether the text of an SVG stays text, in whatever font the reader has, and does not become outlines.
    """
    content = io.BytesIO()
    # The identifiers in an SVG are made of the salt, or else of random numbers.
    settings = {"svg.hashsalt": "keras_resnet", "svg.fonttype": "none" if real_text else "path"}
    with mpl.rc_context(settings):
        figure.savefig(content, format=suffix, metadata=UNDATED.get(suffix))
    return content.getvalue()


def save(figure: Figure, path: str | os.PathLike) -> Path:
    """Writes the file of a figure; its suffix (.png, .svg, .pdf) decides the format. Returns its path."""
    path = Path(path)
    path.write_bytes(encoded(figure, path.suffix.removeprefix(".")))
    return path
