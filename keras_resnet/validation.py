"""Guards that every configuration meets, whether it comes from the command line, a JSON file, the tuner or a notebook.

Each raises a `ValueError` that names the argument, the rule with the allowed values, and what was received.
"""

from __future__ import annotations

import difflib
import math
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

KINDS: dict[Any, str] = {
    bool: "True or False",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    str | None: "text or None",
    bool | None: "True, False or None",
    int | None: "a whole number or None",
    float | None: "a finite number or None",
    tuple[int, ...]: "a list of whole numbers",
}
"""The names of types in errors, for every type that a configuration uses beside `Literal`."""


def refuse(name: str, rule: str, value: object, hint: str = "") -> NoReturn:
    """Raises the error of a value that breaks a rule; `hint` is the remedy, the last sentence."""
    raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}{hint and '. ' + hint}")


def nearest(word: object, words: Iterable[object]) -> str:
    """`"Did you mean …?"` with the word most like the one received, or `""` where none is like it.

    Initials mean their words: `schedule.lr` is `schedule.learning_rate`.
    """

    def likeness(candidate: object) -> tuple[float, int]:
        if str(word).lower() == initials(str(candidate)):
            return 1.0, len(str(candidate))
        matcher = difflib.SequenceMatcher(None, str(word).lower(), str(candidate).lower())
        # The longest common part decides between resnet20 and resnet32 for resnet21.
        return matcher.ratio(), matcher.find_longest_match().size

    best = max(words, key=likeness)
    return f"Did you mean {best!r}?" if likeness(best)[0] >= 0.6 else ""


def initials(name: str) -> str:
    """A name whose last part, of several words, is shortened to their initials, with its section: `schedule.lr`."""
    section, dot, last = name.rpartition(".")
    words = [part for part in last.split("_") if part]
    return f"{section}{dot}{''.join(part[0] for part in words)}" if len(words) > 1 else name


def one_of(name: str, value: object, allowed: Iterable[object]) -> None:
    """Refuses a value that is none of those allowed, and suggests the nearest."""
    allowed = tuple(allowed)
    if value not in allowed:
        refuse(name, "one of " + ", ".join(map(repr, allowed)), value, nearest(value, allowed))


def positive(name: str, value: float) -> None:
    """Refuses zero and less."""
    if not value > 0:
        refuse(name, "positive", value)


def at_least(name: str, value: float, minimum: float) -> None:
    """Refuses less than the minimum."""
    if not value >= minimum:
        refuse(name, f"at least {minimum}", value)


def fraction(name: str, value: float) -> None:
    """Refuses what is outside [0, 1)."""
    if not 0 <= value < 1:
        refuse(name, "at least 0 and below 1", value)


def choices(hint: Any) -> tuple[object, ...] | None:
    """The words that a `Literal`, or `Literal[…] | None`, allows; `None` for any other type."""
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if not any(get_origin(option) is Literal for option in options):
        return None
    return tuple(word for option in options for word in (get_args(option) or (None,)))


def fitting(name: str, value: Any, hint: Any) -> Any:
    """The value as its type wants it: a whole number where a float is due becomes one, and a list a tuple.

    One spelling of each value is what makes equal recipes have equal fingerprints.

    Args:
        name: The argument, for the error.
        value: The value received.
        hint: A class, a `Literal`, or one of the types in `KINDS`.

    Raises:
        ValueError: if the value is of another type; also if it is NaN or infinite.
    """
    if (words := choices(hint)) is not None:
        one_of(name, value, words)
        return value
    if get_origin(hint) is tuple:
        return _fitting_list(name, value, hint)
    if hint in (float, float | None) and type(value) is int:
        return float(value)
    # True is an `int` to Python, and never what somebody meant by a number.
    mistaken = isinstance(value, bool) and bool not in (get_args(hint) or (hint,))
    if mistaken or not isinstance(value, hint) or (isinstance(value, float) and not math.isfinite(value)):
        refuse(name, KINDS.get(hint) or f"of type {hint.__name__}", value)
    return value


def _fitting_list(name: str, value: Any, hint: Any) -> tuple[Any, ...]:
    """A list of whole numbers, or of the words of a `Literal`, as a tuple."""
    words = choices(get_args(hint)[0])
    rule = KINDS[hint] if words is None else "a list of " + ", ".join(map(repr, words))
    if not isinstance(value, list | tuple):
        refuse(name, rule, value)
    for item in value:
        if words is None and type(item) is not int:
            refuse(name, rule, value)
        if words is not None and item not in words:
            refuse(name, rule, value, nearest(item, words))
    return tuple(value)


def keys(received: object, known: Iterable[str], required: Iterable[str] = (), where: str = "") -> None:
    """Refuses anything but a mapping of known keys; an unknown key before a missing one, as a typo is both.

    Args:
        received: The value that should be a mapping.
        known: The keys that it may have.
        required: Those that it must have.
        where: The key under which it lies, for the error; empty for the outermost.
    """
    prefix = f"{where}." if where else ""
    expected = [prefix + key for key in known]
    if not isinstance(received, Mapping):
        raise ValueError(f"`{where or 'recipe'}` must be an object with the keys {', '.join(expected)}.")
    found = [f"{prefix}{key}" for key in received]
    for key in found:
        if key not in expected:
            hint = nearest(key, expected) or f"The keys are {', '.join(expected)}"
            raise ValueError(f"`{key}` is no key of a recipe. {hint}")
    if missing := [prefix + key for key in required if prefix + key not in found]:
        raise ValueError(f"The recipe lacks {', '.join(f'`{key}`' for key in missing)}.")


LABELS = ("name", "description")
"""The keys of a recipe that cannot change its result."""


def hyperparameters(recipe: Any) -> dict[str, Any]:
    """The part of a recipe, given as nested dictionaries, that may change its result; nothing of anything else."""
    return {key: value for key, value in recipe.items() if key not in LABELS} if isinstance(recipe, Mapping) else {}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The changes from one nested mapping to another, as `"model.shortcut: 'A' -> 'B'"`."""
    old, new = dict(leaves(before)), dict(leaves(after))
    return [
        f"{key}: {repr(old[key]) if key in old else 'absent'} -> {repr(new[key]) if key in new else 'absent'}"
        for key in {**old, **new}
        if key not in old or key not in new or old[key] != new[key]
    ]


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every (dotted key, value) of a nested mapping."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
