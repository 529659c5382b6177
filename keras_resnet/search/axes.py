"""The axes of a search: fields of a recipe, such as `model.shortcut`, with the values that they are to have.

model.shortcut=A,B,C,None              words, as on a command line
schedule.boundaries=100 200,100 300    a list is divided by spaces
data.augmentation=pad-crop flip,       … and an empty one is a list of nothing
optimizer.weight_decay=1e-5..1e-3:log  a range of numbers; whole ones for a field of whole numbers
"""

from __future__ import annotations

import contextlib
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, get_args, get_origin, get_type_hints

from keras_resnet import validation
from keras_resnet.config.recipe import Recipe

FIELDS: dict[str, Any] = {
    f"{section}.{name}": hint
    for section, kind in get_type_hints(Recipe).items()
    if is_dataclass(kind)
    for name, hint in get_type_hints(kind).items()
}
"""The type of every field of a recipe that may change its result."""

NUMBERS = (int, float, int | None, float | None)
"""The types of fields that may have a range."""

CONSTANTS = ((bool, True), (bool, False), (type(None), None))
"""(type, value) of the words that are values of every field of that type."""

RANGE = re.compile(r"(?P<low>.+?)\.\.(?P<high>.+?)(?P<log>:log)?")


@dataclass(frozen=True)
class Axis:
    """A field, and either words or the two ends of a range."""

    name: str
    words: tuple[str, ...]
    ends: tuple[float, ...] = ()
    log: bool = False

    def value(self, chosen: str | float) -> Any:
        """The value of the field for one of the words, or a number of the range.

        Raises:
            ValueError: if the field has no such value.
        """
        return read_word(self.name, chosen) if isinstance(chosen, str) else chosen


def read(texts: Sequence[str]) -> list[Axis]:
    """Axes from words such as `model.shortcut=A,B`.

    Raises:
        ValueError: if one of them is no field, is named twice, or has no such values.
    """
    axes = [read_axis(text) for text in texts]
    for axis in axes:
        if sum(other.name == axis.name for other in axes) > 1:
            raise ValueError(f"`axes` must name each field once. Received: {axis.name} twice")
    return axes


def read_axis(text: str) -> Axis:
    """An axis from NAME=VALUE,VALUE… or NAME=LOW..HIGH."""
    field, equals, values = text.partition("=")
    if not equals:
        raise ValueError(f"`axes` must be NAME=VALUE,VALUE… such as model.shortcut=A,B. Received: {text}")
    name = field.removeprefix("--").replace("-", "_")
    if name not in FIELDS:
        hint = validation.nearest(name, FIELDS) or "A field is named as in recipe.json, with its section"
        raise ValueError(f"{field!r} is no field of a recipe. {hint}")
    if match := RANGE.fullmatch(values):
        ends, log = tuple(number(name, match[end]) for end in ("low", "high")), bool(match["log"])
        if not ends[0] < ends[1] or (log and ends[0] <= 0):
            rule = "LOW..HIGH with LOW below HIGH" + (", and above 0 with :log" if log else "")
            raise ValueError(f"`axes` {name} must be {rule}. Received: {values}")
        return Axis(name, (), ends, log)
    words = tuple(values.split(","))
    read_values = [read_word(name, word) for word in words]
    if repeated := [word for word, value in zip(words, read_values, strict=True) if read_values.count(value) > 1]:
        raise ValueError(f"`axes` {name} must have different values. Received: {', '.join(repeated)}")
    return Axis(name, words)


def number(name: str, word: str) -> float:
    """One end of the range of a field."""
    if FIELDS[name] not in NUMBERS:
        raise ValueError(f"`axes` {name} must be values, divided by commas: it is no field of numbers")
    value = read_word(name, word)
    if value is None:
        raise ValueError(f"`axes` {name} must be a range of numbers. Received: {word}")
    return value


def read_word(name: str, word: str) -> Any:
    """The value of a word for a field, as a command line reads it; of a list, its words divided by spaces.

    Raises:
        ValueError: if it is none.
    """
    hint = FIELDS[name]
    if get_origin(hint) is tuple:
        value: Any = tuple(convert(each, get_args(hint)[0]) for each in word.split())
    else:
        value = convert(word, hint)
    return validation.fitting(name, value, hint)


def convert(word: str, hint: Any) -> Any:
    """The value of a word for a type, or the word itself where it is none."""
    words = validation.choices(hint) or tuple(value for kind, value in CONSTANTS if kind in (get_args(hint) or (hint,)))
    for value in words:
        if word == str(value):
            return value
    for kind in (int, float):
        if kind in (get_args(hint) or (hint,)):
            with contextlib.suppress(ValueError):
                return kind(word)
    return word


def changed(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with other values of some fields.

    Raises:
        ValueError: if the recipe refuses them, alone or together.
    """
    sections: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        section, field = name.split(".")
        sections.setdefault(section, {})[field] = value
    return replace(recipe, **{name: replace(getattr(recipe, name), **fields) for name, fields in sections.items()})


def flags(values: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The words of a command line that give fields these values, by field."""
    return {name: flag(name, value) for name, value in values.items()}


def flag(name: str, value: Any) -> tuple[str, ...]:
    """The words of a command line that give a field a value."""
    section, field = name.replace("_", "-").split(".")
    if FIELDS[name] is bool:
        return (f"--{section}.{field}" if value else f"--{section}.no-{field}",)
    return (f"--{section}.{field}", *map(str, value if isinstance(value, tuple) else [value]))


def check(recipe: Recipe, axes: Sequence[Axis]) -> None:
    """Refuses an axis with a value that the recipe accepts in no combination with the others.

    Raises:
        ValueError: naming the value, with the reason.
    """
    every = {axis.name: axis.words or axis.ends for axis in axes}
    for axis in axes:
        for chosen in every[axis.name]:
            combinations = itertools.product(*({**every, axis.name: (chosen,)}.values()))
            reasons = (why_refused(recipe, axes, combination) for combination in combinations)
            first = next(reasons)
            if first and all(reasons):
                raise ValueError(f"`axes` {axis.name}={chosen} is never possible: {first}")


def why_refused(recipe: Recipe, axes: Sequence[Axis], combination: Sequence[str | float]) -> str | None:
    """The reason for which a recipe refuses a combination, or None."""
    try:
        changed(recipe, {axis.name: axis.value(chosen) for axis, chosen in zip(axes, combination, strict=True)})
    except ValueError as error:
        return str(error)
    return None


def points(axes: Sequence[Axis]) -> float:
    """How many points there are; infinity where an axis is a range."""
    return math.prod(len(axis.words) or math.inf for axis in axes)
