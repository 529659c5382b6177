"""The page itself: one file that needs nothing else, and may ask for nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Any

from keras_resnet.reporting.html import series, tables
from keras_resnet.reporting.html.markup import Markup, element, join, json_text
from keras_resnet.reporting.html.reading import RunRecord, Values

PARTS = Path(__file__).parent
STYLE = ("page.css",)
PROGRAM = ("numbers.js", "curves.js", "page.js")
"""What is joined to the style and to the program of the page."""

KEPT_APART = ("started", "command", "run", "changes")
"""What of a start is not listed like the rest; where its images and checkpoints lay changes no result."""


def page(runs: Sequence[RunRecord], title: str) -> str:
    """A page about some runs.

    The same runs give the same page. It holds its style, its program and its numbers, and its Content-Security-Policy
    lets no other style or program into it, and no request out.

    Args:
        runs: At least one; in the order in which they are listed and coloured.
        title: Of the page.

    Returns:
        HTML.
    """
    measured = [series.curves(run.rows) for run in runs]
    numbers = [
        {
            "label": run.label,
            "look": tables.look(position),
            "curves": {name: series.thinned(points) for name, points in curves.items()},
        }
        for position, (run, curves) in enumerate(zip(runs, measured, strict=True))
    ]
    style, program = (_joined(names) for names in (STYLE, PROGRAM))
    return Template(_joined(("page.html",))).substitute(
        policy=f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(program)}; base-uri 'none'; "
        "form-action 'none'",
        title=join([title]),
        summary=join([_summary(runs)]),
        thinning=_thinning(runs, measured),
        runs=tables.runs_table(runs),
        differences=_differences(runs),
        evaluations=_evaluations(runs),
        starts=_environment(runs),
        numbers=json_text(numbers),
        style=style,
        program=program,
    )


def _joined(names: Iterable[str]) -> str:
    return "\n".join((PARTS / name).read_text(encoding="utf-8") for name in names)


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _summary(runs: Sequence[RunRecord]) -> str:
    unfinished = sum(run.result is None for run in runs)
    recipes = ", ".join(dict.fromkeys(run.recipe.name for run in runs))
    many = f"{len(runs)} runs" if len(runs) > 1 else "One run"
    return f"{many} of {recipes}" + (f"; {unfinished} unfinished" if unfinished else "")


def _thinning(runs: Sequence[RunRecord], measured: Sequence[dict[str, list[series.Point]]]) -> Markup:
    most = [max(map(len, curves.values()), default=0) for curves in measured]
    thinned = [run.label for run, points in zip(runs, most, strict=True) if points > series.LIMIT]
    if not thinned:
        return Markup()
    said = f"Curves of {', '.join(thinned)} are thinned evenly, to {series.LIMIT:,} of up to {max(most):,} points."
    return element("p", said, class_="note")


def _differences(runs: Sequence[RunRecord]) -> Markup:
    if len(runs) == 1:
        return Markup()
    found = tables.differences_table(runs) or element("p", "Nothing: the runs follow the same recipe.", class_="note")
    return element("section", element("h2", "What differs"), found)


def _evaluations(runs: Sequence[RunRecord]) -> Markup:
    found = tables.evaluations_table(runs)
    return element("section", element("h2", "Later evaluations"), found) if found else Markup()


def _environment(runs: Sequence[RunRecord]) -> Markup:
    """Where and with what the runs were started; what holds for every start is said once."""
    first, *others = [_known(start) for run in runs for start in run.starts] or [{}]
    common = {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
    if not others or not common:
        return join(_starts(position, run, {}) for position, run in enumerate(runs))
    everywhere = element("article", element("h3", "Every start"), _listed(common))
    return join([everywhere, *(_starts(position, run, common) for position, run in enumerate(runs))])


def _starts(position: int, run: RunRecord, common: Values) -> Markup:
    missing = element("p", "environment.json was not kept.", class_="note")
    starts = [_start(start, common) for start in run.starts] or [missing]
    return element("article", element("h3", tables.named(position, run)), *starts)


def _start(start: Values, common: Values) -> Markup:
    own = {key: value for key, value in _known(start).items() if key not in common}
    changed = {"changed": start["changes"]} if start.get("changes") else {}
    command = [element("pre", element("code", _words(start["command"])))] if start.get("command") else []
    return join([element("h4", f"Started {start['started']}"), *command, _listed(own | changed)])


def _known(start: Values) -> Values:
    """What of a start is listed: neither what has a place of its own, nor what is empty."""
    return {key: value for key, value in start.items() if key not in KEPT_APART and value not in (None, [], "")}


def _listed(values: Values) -> Markup:
    names = ((key.replace("_", " "), _words(value)) for key, value in values.items())
    return element("dl", *(element("div", element("dt", name), element("dd", words)) for name, words in names))


def _words(value: Any) -> str:
    """A value as people write it."""
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
