"""Frozen dataclasses that refuse what their annotations do not allow."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

from keras_resnet import validation

Kind = TypeVar("Kind")


_TYPES: dict[Any, dict[str, Any]] = {}


def types_of(kind: Any) -> dict[str, Any]:
    """The types of the fields of a dataclass by name, read once from their text."""
    if kind not in _TYPES:
        _TYPES[kind] = get_type_hints(kind)
    return _TYPES[kind]


class Checked:
    """A frozen dataclass whose fields hold what their annotations say, and nothing else."""

    def __post_init__(self) -> None:
        for name, hint in types_of(type(self)).items():
            object.__setattr__(self, name, validation.fitting(name, getattr(self, name), hint))
        self._check()

    def _check(self) -> None:
        """Refuses values of the right type that make no sense, alone or together."""


def build(kind: type[Kind], values: Any, where: str = "") -> Kind:
    """A dataclass of dataclasses from nested dictionaries; absent keys have their defaults, others are refused."""
    hints = types_of(kind)
    validation.keys(values, hints, required(kind), where)
    nested = {
        key: hint for key, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint) and key in values
    }
    return kind(**{**values, **{key: build(hint, values[key], key) for key, hint in nested.items()}})


def required(kind: Any) -> list[str]:
    """The fields of a dataclass that have no default."""
    return [each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING]
