"""The names and the shapes of what a checkpoint holds, the same on every backend."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import keras

OF_A_LAYER_INSIDE = re.compile(r"(conv\d+_block\d+_0)[/_](?=\1_)")
"""Beginning of the name of a projection's variable, when a projection was a layer with its layers inside."""


def current(name: str) -> str:
    """The name that an array of an older checkpoint has today."""
    return OF_A_LAYER_INSIDE.sub("", name)


def by_path(variables: Iterable[keras.Variable]) -> dict[str, keras.Variable]:
    """Variables by their paths, which do not change when a layer is wrapped or an attribute renamed.

    Raises:
        ValueError: if two have the same.
    """
    variables = list(variables)
    paths = {variable.path: variable for variable in variables}
    if len(paths) < len(variables):
        raise ValueError("variables of a checkpoint must have different paths")
    return paths


def prefixed(part: str, variables: Iterable[keras.Variable]) -> dict[str, keras.Variable]:
    """Variables by their names in a checkpoint, such as `model/conv1_conv/kernel`.

    Args:
        part: Of what they belong to: `"model"` or `"optimizer"`.
        variables: Of different paths.
    """
    return {f"{part}/{path}": variable for path, variable in by_path(variables).items()}


def differs_between_replicas(variable: keras.Variable) -> bool:
    """Whether each replica has a value of its own, as moving statistics have."""
    return variable.synchronization == "on_read"


def named(
    parts: Mapping[str, Mapping[str, keras.Variable]],
) -> tuple[dict[str, keras.Variable], dict[str, keras.Variable]]:
    """Variables by names such as `model/conv1_conv/kernel`: those that replicas share, and those that differ.

    Args:
        parts: Variables by path, by the name of what they belong to.
    """
    variables = {f"{part}/{path}": v for part, paths in parts.items() for path, v in paths.items()}
    apart = {name: v for name, v in variables.items() if differs_between_replicas(v)}
    return {name: v for name, v in variables.items() if name not in apart}, apart


def difference(
    common: Mapping[str, keras.Variable], apart: Mapping[str, keras.Variable], saved: Mapping[str, tuple[int, ...]]
) -> str | None:
    """The first variable that is not the same in what was saved, in words; the number of replicas may differ.

    Args:
        common: Variables that replicas share.
        apart: Variables of which each replica has its own.
        saved: Shapes by name.
    """
    wanted = {name: tuple(variable.shape) for name, variable in (common | apart).items()}
    there = {name: tuple(shape)[1:] if name in apart else tuple(shape) for name, shape in saved.items()}
    for name, _ in sorted(there.items() ^ wanted.items()):
        old, new = (f"shape {shapes[name]}" if name in shapes else "no place" for shapes in (there, wanted))
        return f"{name} has {old} there, {new} here"
    return None
