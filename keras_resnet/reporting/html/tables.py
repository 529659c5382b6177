"""The tables of a page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from keras_resnet import validation
from keras_resnet.evaluation.error_rates import tops
from keras_resnet.evaluation.intervals import wilson
from keras_resnet.facts import architectures
from keras_resnet.facts.datasets import DATASETS
from keras_resnet.reporting.html.markup import Markup, element, join
from keras_resnet.reporting.html.reading import RunRecord, Values

COLORS, MARKS = 8, 3
"""How many looks of a run the style sheet knows; further runs begin anew."""

UNITS = ((10**9, "G"), (10**6, "M"), (10**3, "k"))
"""Of multiply-adds; the smallest network has more than a thousand."""


class Cell(NamedTuple):
    """What stands in a table."""

    content: str = "–"
    value: str | float | None = None
    """What its column is sorted by; None comes last."""


def look(position: int) -> str:
    """The classes of a run by its position: its color, and what marks its curve."""
    return f"c{position % COLORS} m{mark(position)}"


def mark(position: int) -> int:
    """The number of a run's mark by its position: 0 for none."""
    return position // COLORS % MARKS


def runs_table(runs: Sequence[RunRecord]) -> Markup:
    """The runs, one in each row."""
    splits = dict.fromkeys(name for run in runs if run.result for name in run.result["splits"])
    errors = {
        f"{name} error": lambda run, name=name: _error(_of_result(run, "splits", {}).get(name)) for name in splits
    }
    columns: dict[str, Callable[[RunRecord], Cell]] = {
        **errors,
        "iterations": _iterations,
        "scale": _scale,
        "depth": lambda run: _count(run.recipe.model.depth),
        "shortcut": lambda run: _text(run.recipe.model.shortcut or "plain"),
        "parameters": lambda run: _count(size.trainable) if (size := _size(run)) else Cell(),
        "multiply-adds": lambda run: _large(size.multiply_adds) if (size := _size(run)) else Cell(),
        "images/s": lambda run: _speed(_of_result(run, "images_per_second")),
        "started": lambda run: _date(run.starts[-1].get("started", "")) if run.starts else Cell(),
    }
    rows = [
        [
            _name(position, run, run.recipe.name, element("code", run.fingerprint)),
            *(cell(run) for cell in columns.values()),
        ]
        for position, run in enumerate(runs)
    ]
    return _table("Runs", ["run", *columns], rows, sortable=True)


def differences_table(runs: Sequence[RunRecord]) -> Markup | None:
    """The fields in which the recipes differ; None where there is none."""
    values = [dict(validation.leaves(run.recipe.hyperparameters())) for run in runs]
    names = [name for name in values[0] if any(one[name] != values[0][name] for one in values)]
    if not names:
        return None
    heads = ["field", *(named(position, run) for position, run in enumerate(runs))]
    rows = [[_text(element("code", name), name), *(_text(_plain(one[name])) for one in values)] for name in names]
    return _table("What differs between the recipes", heads, rows)


def evaluations_table(runs: Sequence[RunRecord]) -> Markup | None:
    """What was measured after the trainings; None where there is nothing."""
    rows = [
        [_name(position, run, file), *_evaluation(found, _of_result(run, "class_names"))]
        for position, run in enumerate(runs)
        for file, found in run.evaluations
    ]
    heads = ["run", "view", "split", "top-1 error", "top-5 error", "loss", "networks", "measured"]
    return _table("Later evaluations", heads, rows, sortable=True) if rows else None


def _evaluation(found: Values, class_names: Sequence[str] | None) -> list[Cell]:
    names = found.get("class_names", class_names)  # files of earlier versions have no names, and always a top-5 error
    top5 = found["top5_error"] if names is None or 5 in tops(len(names)) else None
    return [
        _text(found["view"]),
        _text(found["split"]),
        _error(found),
        Cell() if top5 is None else Cell(f"{top5:.2f}%", top5),
        Cell(f"{found['loss']:.4f}", found["loss"] if math.isfinite(found["loss"]) else None),
        _count(len(found["networks"])),
        _date(str(found.get("environment", {}).get("started", ""))),
    ]


def named(position: int, run: RunRecord) -> Markup:
    """The name of a run behind its color."""
    return join([element("span", class_=f"swatch {look(position)}", aria_hidden="true"), run.label])


def _name(position: int, run: RunRecord, *more: str) -> Cell:
    return Cell(join([named(position, run), *(element("small", line) for line in more)]), run.label)


def _of_result(run: RunRecord, key: str, missing: Any = None) -> Any:
    return run.result[key] if run.result else missing


def _size(run: RunRecord) -> architectures.Counts | None:
    """Of the network; None where nothing says how many classes it has."""
    model, data = run.recipe.model, DATASETS[run.recipe.data.dataset]
    classes = data.classes or (len(run.result["class_names"]) if run.result else None)
    if classes is None:
        return None
    side = run.recipe.data.image_size or 0
    return architectures.count(
        model.architecture,
        shortcut=model.shortcut,
        bottleneck_stride=model.bottleneck_stride,
        preactivation=model.preactivation,
        input_shape=data.image_shape or (side, side, 3),
        classes=classes,
    )


def _iterations(run: RunRecord) -> Cell:
    if run.result:
        return _count(run.iterations)
    goal = element("small", f"of {run.recipe.schedule.scaled_iterations:,}")
    badge = element("span", "unfinished", class_="badge")
    return Cell(join([f"{run.iterations:,} ", goal, badge]), run.iterations)


def _scale(run: RunRecord) -> Cell:
    scale = run.recipe.schedule.scale
    if scale == 1:
        return Cell("1", scale)
    return Cell(element("mark", f"{scale:g}", title="not the whole schedule of the recipe, or a longer one"), scale)


def _error(errors: Values | None) -> Cell:
    """The top-1 error, how sure it is, and of how many images."""
    if errors is None:
        return Cell()
    images, error = errors["images"], errors["top1_error"]
    low, high = wilson(round(error * images / 100), images)
    interval = element("small", f"{low:.2f} to {high:.2f}%", title="95% confidence interval")
    return Cell(join([element("b", f"{error:.2f}%"), interval, element("small", f"{images:,} images")]), error)


def _text(content: str, value: str | None = None) -> Cell:
    return Cell(content, content if value is None else value)


def _count(number: int) -> Cell:
    return Cell(f"{number:,}", number)


def _large(number: int) -> Cell:
    size, letter = next(unit for unit in UNITS if number >= unit[0])
    return Cell(f"{number / size:.3g} {letter}", number)


def _speed(speed: float | None) -> Cell:
    return Cell() if speed is None else Cell(f"{speed:,.0f}", speed)


def _date(moment: str) -> Cell:
    """The day and the minute of a moment in ISO 8601, if it is known."""
    if not moment:
        return Cell()
    day, _, time = moment.partition("T")
    return Cell(join([element("span", day, class_="day"), element("small", time[:5])]), moment)


def _plain(value: Any) -> str:
    """A value as the command line takes it."""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[Cell]], *, sortable: bool = False) -> Markup:
    """A table that scrolls by itself where the window is narrow."""
    numeric = [any(_is_number(row[k]) for row in rows) for k in range(len(heads))]
    head = (
        element("th", text, scope="col", class_="number" if number else None)
        for text, number in zip(heads, numeric, strict=True)
    )
    body = (element("tr", _head_cell(first), *map(_cell, rest, numeric[1:])) for first, *rest in rows)
    parts = (element("caption", caption), element("thead", element("tr", *head)), element("tbody", *body))
    table = element("table", *parts, class_="sortable" if sortable else None)
    return element("div", table, class_="scroll", role="region", aria_label=caption, tabindex="0")


def _head_cell(cell: Cell) -> Markup:
    return element("th", cell.content, scope="row", data_value=cell.value)


def _cell(cell: Cell, number: bool) -> Markup:
    return element("td", cell.content, class_="number" if number else None, data_value=cell.value)


def _is_number(cell: Cell) -> bool:
    return isinstance(cell.value, int | float)
