"""The arrays of weights that Keras divided over several files, which a `.weights.json` lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.weights.readers.keras_files import DAMAGE, ORDER, values_of
from keras_resnet.weights.readers.tensors import float32_of


def read_shards(path: Path) -> dict[str, np.ndarray]:
    """The variables of every layer by layer and variable, such as `conv1_conv/kernel`.

    Args:
        path: The `.weights.json`; the files that it lists lie beside it.

    Raises:
        ValueError: if it is no such file, or if one that it lists is missing or damaged.
        ModuleNotFoundError: if h5py is not installed.
    """
    import h5py

    layers: dict[str, str] = {}
    numbered: dict[str, dict[int, np.ndarray]] = {}

    def keep(key: str, group: Any) -> None:
        if key.endswith("/vars") and not key.startswith("optimizer/"):
            if "name" in group.attrs:  # of a layer in two files, the first has it, perhaps without variables
                layers[key] = group.attrs["name"]
            numbered.setdefault(key, {}).update({int(number): values_of(group[number]) for number in group})

    try:
        files = {
            Path(name).name
            for names in json.loads(path.read_text("utf-8"))["weight_map"].values()
            for name in _listed(names)
        }
        for name in sorted(files):
            with h5py.File(path.with_name(name)) as file:
                file.visititems(keep)
    except DAMAGE as error:
        raise ValueError(f"{path} is no list of Keras's weights, or one of its files is damaged ({error})") from error
    found = {}
    for key, arrays in numbered.items():
        for number, array in sorted(arrays.items()):
            names = ORDER[arrays[0].ndim > 1]
            name = names[number] if len(arrays) <= len(names) else number  # of a layer that no network here has
            full_name = f"{layers.get(key, key)}/{name}"
            found[full_name] = float32_of(array, full_name, path)
    return found


def _listed(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names
