"""The schema of the JSON files that a run leaves: what they hold, and the only functions that read and write them.

Each table of rules names every key of a file. A key that is not required came later than version 0.1, whose files stay
readable.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from keras_resnet.host import files

Values = dict[str, Any]
"""What a JSON file holds, or an object in it."""


@dataclass(frozen=True)
class Key:
    """What the value of a key must be."""

    rule: str
    """In words, after "must be"."""
    holds: Callable[[Any], bool]
    """Whether a value follows the rule."""
    required: bool = True
    members: Mapping[str, Key] | None = None
    """The rules of each object in the value, which holds them by name."""


Rules = Mapping[str, Key]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 100


def _is_interval(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_share, value))


def _are_networks(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) and "fingerprint" in one for one in value)


COUNT = Key("a whole number, at least 1", lambda value: type(value) is int and value >= 1)
HELD_OUT = Key("a whole number, at least 0", lambda value: type(value) is int and value >= 0)
PERCENT = Key("a number from 0 to 100", _is_share)
INTERVAL = Key("two numbers from 0 to 100", _is_interval, required=False)
NUMBER = Key("a number", _is_number)
TEXT = Key("text", lambda value: isinstance(value, str))
TEXTS = Key("a list of texts", lambda value: isinstance(value, list) and all(isinstance(text, str) for text in value))
OBJECT = Key("an object", lambda value: isinstance(value, dict))


def _later(key: Key) -> Key:
    return replace(key, required=False)


def or_null(key: Key) -> Key:
    """The rule of a key that may also be null."""
    return replace(key, rule=f"{key.rule}, or null", holds=lambda value: value is None or key.holds(value))


ERROR_RATES: Rules = {"images": COUNT, "loss": NUMBER, "top1_error": PERCENT, "top5_error": or_null(PERCENT)}
"""What was measured on a split: the images counted, the mean cross-entropy, and errors in percent.

The top-5 error is null of five classes or fewer; files of earlier versions have a number there, too.
"""

RUN: Rules = {
    "recipe": TEXT,
    "fingerprint": TEXT,
    "iterations": COUNT,
    "schedule_scale": NUMBER,
    "training_images": _later(COUNT),
    "view": TEXT,
    "splits": Key(
        "an object that has `validation`",
        lambda value: isinstance(value, dict) and "validation" in value,
        members=ERROR_RATES,
    ),
    "kept_iteration": _later(COUNT),
    "best_iteration": _later(or_null(COUNT)),
    "best_validation_error": _later(or_null(PERCENT)),
    "images_per_second": or_null(NUMBER),
    "waiting_percent": _later(or_null(PERCENT)),
    "class_names": TEXTS,
}
"""`result.json`: what a training measured at its end."""

EVALUATION: Rules = {
    **ERROR_RATES,
    "top1_interval": INTERVAL,
    "top5_interval": INTERVAL,
    "dataset": TEXT,
    "split": TEXT,
    "split_images": _later(COUNT),
    "holdout": _later(HELD_OUT),
    "view": TEXT,
    "protocol": OBJECT,
    "networks": Key("a list of objects that have `fingerprint`", _are_networks),
    "class_names": _later(TEXTS),
    "environment": _later(OBJECT),
}
"""`evaluation/result-VIEW.json`: what was measured later, of one network or of an ensemble."""

START: Rules = {"started": _later(TEXT), "run": _later(OBJECT)}
"""An entry of `environment.json`, beside whatever else describes the start."""


def read(file: Path, rules: Rules) -> Values:
    """What a file holds.

    Args:
        file: Of a run.
        rules: `RUN` or `EVALUATION`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, naming the file.
    """
    values: Values = read_json(file)
    _check_file(file, values, rules)
    return values


def read_starts(file: Path) -> list[Values]:
    """The entries of `environment.json`, one for each start.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, naming the file.
    """
    starts = read_json(file)
    if not isinstance(starts, list):
        raise ValueError(f"{file} is damaged: it must be a list")
    for number, start in enumerate(starts):
        _check_file(file, start, START, f"[{number}].")
    return starts


def read_json(file: Path) -> Any:
    """What is in a JSON file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no JSON, naming the file.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is damaged: {error}") from error


def write(file: Path, values: Values, rules: Rules, remedy: str) -> None:
    """Writes a file that `read` will read, wholly or not at all.

    Args:
        file: Of a run.
        values: What it is to hold.
        rules: `RUN` or `EVALUATION`.
        remedy: What to do if it cannot be written, the end of the error.

    Raises:
        ValueError: if a value breaks a rule, or if a key has none.
        OSError: if it cannot be written, naming the file.
    """
    check(values, rules)
    if unknown := sorted(values.keys() - rules.keys()):
        raise ValueError(f"`values` must have only keys of the schema. Received also: {', '.join(unknown)}")
    files.write(file, files.as_json(values), remedy)


def _check_file(file: Path, values: Any, rules: Rules, where: str = "") -> None:
    """Refuses values that break a rule, naming the file that they are from."""
    try:
        check(values, rules, where)
    except ValueError as error:
        raise ValueError(f"{file} is damaged: {error}") from error


def check(values: Any, rules: Rules, where: str = "") -> None:
    """Refuses values that break a rule; keys that have no rule may be of a later version.

    Args:
        values: An object of a JSON file.
        rules: What it must hold.
        where: In front of each name, such as `"splits.test."`.

    Raises:
        ValueError: naming the key.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{where.rstrip('.') or 'it'} must be an object")
    for name, key in rules.items():
        if name not in values:
            if key.required:
                raise ValueError(f"it lacks `{where}{name}`")
            continue
        if not key.holds(values[name]):
            raise ValueError(f"`{where}{name}` must be {key.rule}. Received: {values[name]!r}")
        for member, inner in (values[name] if key.members else {}).items():
            check(inner, key.members or {}, f"{where}{name}.{member}.")
