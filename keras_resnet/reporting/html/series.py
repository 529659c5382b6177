"""The curves of a run as points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import fields

from keras_resnet.runs.history import Row

CURVES = tuple(field.name for field in fields(Row) if field.name != "iteration")
"""The columns of a history that are drawn."""

LIMIT = 2000
"""The most points of a curve that a page keeps."""

Point = tuple[int, float | None]
"""(iteration, value); None for a value that is no finite number, where the curve breaks."""


def curves(rows: Iterable[Row]) -> dict[str, list[Point]]:
    """Every curve of a run that has points, by the name of its column."""
    rows = list(rows)
    measured = {
        name: [(row.iteration, _rounded(value)) for row in rows if (value := getattr(row, name)) is not None]
        for name in CURVES
    }
    return {name: points for name, points in measured.items() if points}


def thinned(points: Sequence[Point], limit: int = LIMIT) -> list[Point]:
    """At most so many points, evenly chosen, with the first and the last."""
    if len(points) <= limit:
        return list(points)
    return [points[round(k * (len(points) - 1) / (limit - 1))] for k in range(limit)]


def _rounded(value: float) -> float | None:
    """Six digits, more than a screen shows."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
