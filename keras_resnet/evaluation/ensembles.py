"""Requirements on the networks of an ensemble: the same images, and the same classes in the same order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")


def common(what: str, found: Mapping[str, Value], remedy: str = "") -> Value:
    """The value that all have.

    Args:
        what: Its name, for the error.
        found: At least one value, by the name of who has it.
        remedy: What to do if they differ; a sentence without its full stop.

    Raises:
        ValueError: if they differ.
    """
    (first, value), *others = found.items()
    for other, another in others:
        if another != value:
            end = f". {remedy}" if remedy else ""
            raise ValueError(f"The {what} must be the same. Received: {value} in {first}, {another} in {other}{end}")
    return value


def check_class_names(found: Mapping[str, tuple[str, ...] | None]) -> None:
    """Refuses classes in different orders, which would never crash, only be wrong.

    Args:
        found: The names, by the name of who has them: None, or mere numbers, where they are not known. Those that are
            known are equally many.

    Raises:
        ValueError: if they differ.
    """
    known = {name: names for name, names in found.items() if names and not all(map(str.isdecimal, names))}
    for number in range(min(map(len, known.values()), default=0)):
        common(f"name of class {number}", {name: repr(names[number]) for name, names in known.items()})
