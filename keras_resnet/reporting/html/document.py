"""The page itself: one file that needs nothing else, and may ask for nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

from keras_resnet.reporting.html import tables
from keras_resnet.reporting.html.markup import Markup, element, join
from keras_resnet.reporting.html.reading import RunRecord, Values

PARTS = Path(__file__).parent
TEMPLATE, STYLE, PROGRAM = "page.html", "page.css", "page.js"

MORE = "TensorBoard shows the curves with a zoom and their values, from logs/ of each run; history.csv has every digit."

KEPT_APART = ("started", "command", "run", "changes")
"""What of a start is not listed like the rest; where its images and checkpoints lay changes no result."""


def page(runs: Sequence[RunRecord], title: str) -> str:
    """A page about some runs.

    The same runs give the same page. It holds its style, its program and its figures, and its Content-Security-Policy
    lets no other style or program into it, and no request out.

    Args:
        runs: At least one; in the order in which they are listed and colored.
        title: Of the page.

    Returns:
        HTML.
    """
    # It needs matplotlib, which is slow to import: whatever is wrong with the runs has been found by now.
    from keras_resnet.reporting.html import curves

    style, program = (_part(name) for name in (STYLE, PROGRAM))
    return Template(_part(TEMPLATE)).substitute(
        policy=f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(program)}; base-uri 'none'; "
        "form-action 'none'",
        title=join([title]),
        summary=join([_summary(runs)]),
        curves=_curves(runs, curves.figures(runs)),
        runs=tables.runs_table(runs),
        differences=_differences(runs),
        evaluations=_evaluations(runs),
        starts=_environment(runs),
        style=style,
        program=program,
    )


def _part(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _summary(runs: Sequence[RunRecord]) -> str:
    unfinished = sum(run.result is None for run in runs)
    recipes = ", ".join(dict.fromkeys(run.recipe.name for run in runs))
    many = f"{len(runs)} runs" if len(runs) > 1 else "One run"
    return f"{many} of {recipes}" + (f"; {unfinished} unfinished" if unfinished else "")


def _curves(runs: Sequence[RunRecord], figures: Markup) -> Markup:
    """The figures below what tells their lines apart; a note where nothing was recorded yet."""
    if not figures:
        return element("p", "No run has recorded anything yet.", class_="note")
    alone = len(runs) == 1
    names = () if alone else (element("li", tables.named(position, run)) for position, run in enumerate(runs))
    kinds = (
        element("li", element("span", class_=f"sample {kind}{f' c{color}' if alone else ''}", aria_hidden="true"), kind)
        for kind, color in tables.KINDS.items()
    )
    legend = element("div", element("ul", *names), element("ul", *kinds), class_="legend")
    return join([legend, element("div", figures, class_="panels"), element("p", MORE, class_="note")])


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
    return join(
        [element("h4", f"Started {start.get('started', 'at an unknown time')}"), *command, _listed(own | changed)]
    )


def _known(start: Values) -> Values:
    """What of a start is listed: neither what has a place of its own, nor what is empty."""
    return {key: value for key, value in start.items() if key not in KEPT_APART and value not in (None, [], "")}


def _listed(values: Values) -> Markup:
    names = ((key.replace("_", " "), _words(value)) for key, value in values.items())
    return element("dl", *(element("div", element("dt", name), element("dd", words)) for name, words in names))


def _words(value: Any) -> str:
    """A value in words."""
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
