"""Keras's files of weights, read by the names of the layers.

Keras finds a layer by its place among the others, which is another one for layers that lie inside of `Rematerialized`
or `ProjectionShortcut`, as those of older versions did.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_resnet.models.layers import ProjectionShortcut, Rematerialized
from keras_resnet.weights.readers.keras_files import values_of

HOLDERS: dict[str, type[keras.layers.Layer]] = {
    "projection_shortcut": ProjectionShortcut,
    "rematerialized": Rematerialized,
}
"""The layers that have layers of a network inside, by what Keras calls them in files."""


def lies_elsewhere(path: str | os.PathLike, layers: Iterable[keras.layers.Layer]) -> bool:
    """Whether a file holds layers inside of others that stand alone here, or the other way round.

    Args:
        path: Of a `.weights.h5` or a `.keras`; of any other file, the answer is no.
        layers: Those of the network, with those inside.
    """
    if not str(path).endswith((".weights.h5", ".keras")) or not Path(path).is_file():
        return False
    here = {type(layer) for layer in layers}
    return _holders(path) != here & set(HOLDERS.values())


def load(path: str | os.PathLike, layers: Iterable[keras.layers.Layer], *, skip_mismatch: bool = False) -> None:
    """Gives layers the variables that a file has under their names.

    Args:
        path: Of a `.weights.h5` or a `.keras`.
        layers: Those of the network, with those inside.
        skip_mismatch: Whether a layer that the file lacks, or has in another shape, keeps its variables.

    Raises:
        ValueError: naming a layer that the file lacks, or has in another shape.
    """
    found = _variables(path)
    for layer in layers:
        if not _own_variables(layer):
            continue
        try:
            if layer.name not in found:
                raise ValueError(f"{os.fspath(path)} has no weights of the layer {layer.name!r}")
            layer.load_own_variables(found[layer.name])
        except ValueError:
            if not skip_mismatch:
                raise


def _own_variables(layer: keras.layers.Layer) -> dict[str, Any]:
    """The variables of a layer itself, as Keras saves them."""
    variables: dict[str, Any] = {}
    layer.save_own_variables(variables)
    return variables


def _file(path: str | os.PathLike):
    """The HDF5 file, which a `.keras` holds inside."""
    import h5py

    if not str(path).endswith(".keras"):
        return h5py.File(path)
    with zipfile.ZipFile(path) as archive:
        return h5py.File(io.BytesIO(archive.read("model.weights.h5")))


def _holders(path: str | os.PathLike) -> set[type[keras.layers.Layer]]:
    """The classes of `HOLDERS` by which Keras called groups of a file."""
    keys: list[str] = []
    with _file(path) as file:
        file.visit(keys.append)
    parts = {part for key in keys for part in key.split("/")}
    return {kind for name, kind in HOLDERS.items() if any(part.startswith(name) for part in parts)}


def _variables(path: str | os.PathLike) -> dict[str, dict[str, np.ndarray]]:
    """Numbered variables by the name of the layer."""
    found: dict[str, dict[str, np.ndarray]] = {}

    def keep(key: str, group) -> None:
        if key.endswith("/vars") and "name" in group.attrs:
            found[group.attrs["name"]] = {number: values_of(group[number]) for number in group}

    with _file(path) as file:
        file.visititems(keep)
    return found
