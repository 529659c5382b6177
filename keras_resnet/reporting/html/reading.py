"""What a page is made of, read from the directories of the runs. Nothing is changed there: a run may be going on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnet.config.recipe import Recipe
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.runs.history import HEADER, Row

Values = dict[str, Any]
"""What a JSON file of a run holds."""


@dataclass(frozen=True)
class RunRecord:
    """What is known of a run."""

    label: str
    """Its own name on the page."""
    recipe: Recipe
    rows: tuple[Row, ...] = ()
    """Of `history.csv`, in order."""
    result: Values | None = None
    """Of `result.json`; None for a run that is not finished."""
    starts: tuple[Values, ...] = ()
    """Of `environment.json`, one for each start; empty where none was kept."""
    evaluations: tuple[tuple[str, Values], ...] = ()
    """(name of the file, what it holds) of later evaluations."""

    @property
    def fingerprint(self) -> str:
        """Of the recipe, as the version of this package knew it that finished the run."""
        return self.result["fingerprint"] if self.result else self.recipe.fingerprint

    @property
    def iterations(self) -> int:
        """Iterations done."""
        return self.result["iterations"] if self.result else self.rows[-1].iteration if self.rows else 0


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


COUNT = ("a whole number, at least 1", lambda value: type(value) is int and value >= 1)
PERCENT = ("a number from 0 to 100", lambda value: _number(value) and 0 <= value <= 100)
NUMBER = ("a number", _number)
TEXT = ("text", lambda value: isinstance(value, str))

Rules = dict[str, tuple[str, Callable[[Any], bool]]]
ERRORS: Rules = {"images": COUNT, "top1_error": PERCENT, "top5_error": PERCENT, "loss": NUMBER}
RESULT: Rules = {
    "fingerprint": TEXT,
    "iterations": COUNT,
    "view": TEXT,
    "splits": ("an object", lambda value: isinstance(value, dict)),
    "images_per_second": ("a number or null", lambda value: value is None or _number(value)),
    "class_names": ("a list", lambda value: isinstance(value, list)),
}
EVALUATION: Rules = {"view": TEXT, "split": TEXT, **ERRORS}
START: Rules = {"started": TEXT}
"""What the page reads of a file -> what that must be, and whether it is."""


def read(directories: Sequence[Path]) -> list[RunRecord]:
    """What is known of some runs; a directory that is named twice is read once.

    Raises:
        FileNotFoundError: if a directory holds no run, or lacks a file.
        ValueError: if a file is damaged, which it names.
    """
    different = list(dict.fromkeys(directory.resolve() for directory in directories))
    return [_read_run(RunDirectory(path), label) for path, label in zip(different, labels(different), strict=True)]


def labels(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of different paths, of equally many parts, that tell them apart."""
    names = [path.name for path in paths]
    length = 1
    while len(set(names)) < len(paths):
        length += 1
        names = [str(Path(*path.parts[-length:])) for path in paths]
    return names


def _read_run(run: RunDirectory, label: str) -> RunRecord:
    run.require_run()
    recipe = Recipe.read(run.recipe)
    if run.finished and not run.history.is_file():
        raise FileNotFoundError(f"{run.history} is missing, and the run is finished")
    evaluations = sorted((run.path / "evaluation").glob("result-*.json"))
    return RunRecord(
        label,
        recipe,
        _rows(run.history) if run.history.is_file() else (),
        _result(run.result) if run.finished else None,
        _starts(run.environment) if run.environment.is_file() else (),
        tuple((file.name, _checked(file, _json(file), EVALUATION)) for file in evaluations),
    )


def _rows(file: Path) -> tuple[Row, ...]:
    """The rows of a history; a last line without an end is still being written."""
    text = file.read_text(encoding="utf-8", errors="replace")
    header, *lines = text[: text.rfind("\n") + 1].splitlines() or [HEADER]
    if header != HEADER:
        raise ValueError(f"{file} is damaged: it must begin with {HEADER}. Received: {header[:80]!r}")
    rows: list[Row] = []
    for number, line in enumerate(lines, start=2):
        try:
            rows.append(Row.from_line(line))
        except ValueError as error:
            raise ValueError(f"{file} is damaged in line {number}: {error}") from error
        if len(rows) > 1 and rows[-1].iteration <= rows[-2].iteration:
            raise ValueError(
                f"{file} is damaged in line {number}: its iteration must come after that of the line before"
            )
    return tuple(rows)


def _result(file: Path) -> Values:
    result = _checked(file, _json(file), RESULT)
    for name, errors in result["splits"].items():
        _checked(file, errors, ERRORS, f"splits.{name}.")
    return result


def _starts(file: Path) -> tuple[Values, ...]:
    starts = _json(file)
    if not isinstance(starts, list):
        raise ValueError(f"{file} is damaged: it must hold a list")
    return tuple(_checked(file, start, START) for start in starts)


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is damaged: {error}") from error


def _checked(file: Path, values: Any, rules: Rules, where: str = "") -> Values:
    """The values, if they follow the rules."""
    if not isinstance(values, dict):
        raise ValueError(f"{file} is damaged: {where.rstrip('.') or 'it'} must be an object")
    for name, (rule, holds) in rules.items():
        if name not in values:
            raise ValueError(f"{file} is damaged: it lacks `{where}{name}`")
        if not holds(values[name]):
            raise ValueError(f"{file} is damaged: `{where}{name}` must be {rule}. Received: {values[name]!r}")
    return values
