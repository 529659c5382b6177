"""Weights from a file that `save_weights` has written, checked layer by layer before the network is touched."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import keras

SUBLAYERS = ("conv", "bn")


def load_weights(network: keras.Model, path: str | os.PathLike) -> None:
    """Load a `.weights.h5` file into a network of the same arguments.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is no Keras weights file, or belongs to another network; names the first layer that
            differs. The network keeps the weights that it had.
    """
    path = os.fspath(path)
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"`weights` must be None or the path of a `.weights.h5` file that exists. Received: weights={path!r}"
        )
    saved = _saved(path)
    for layer, key, variables in layout(network):
        for index, variable in enumerate(variables):
            wanted = (tuple(variable.shape), layer)
            found = saved.pop(f"{key}/vars/{index}", None)
            if found != wanted:
                has = "has {} of shape {} of layer {!r}".format(variable.name, *found) if found else "has none"
                raise ValueError(
                    f"`weights` must belong to a network of the same arguments. Layer {layer!r} of {network.name!r} "
                    f"wants {variable.name} of shape {wanted[0]}, the file {has}. Received: weights={path!r}"
                )
    if saved:
        raise ValueError(
            f"`weights` must belong to a network of the same arguments. The file has {len(saved)} arrays for layers "
            f"that {network.name!r} lacks, such as {saved[min(saved)][1]!r}. Received: weights={path!r}"
        )
    network.load_weights(path)


def layout(model: keras.Model, prefix: str = "") -> Iterator[tuple[str, str, list]]:
    """(name of the layer, key in the file, variables) of every layer, in the network's order.

    Keras keys a layer by its class and a counter, not by its name.
    """
    counter: Counter[str] = Counter()
    for layer in model.layers:
        kind = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=.)(?=[A-Z][a-z])", "_", type(layer).__name__).lower()
        number = counter[kind]
        counter[kind] += 1
        key = f"{prefix}layers/{kind}_{number}" if number else f"{prefix}layers/{kind}"
        if block := getattr(layer, "block", None):
            yield from layout(block, f"{key}/block/")
        elif any(getattr(layer, name, None) for name in SUBLAYERS):
            for name in SUBLAYERS:
                if sublayer := getattr(layer, name, None):
                    yield sublayer.name, f"{key}/{name}", sublayer.weights
        elif layer.weights:
            yield layer.name, key, layer.weights


def _saved(path: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """Key in the file -> (shape, name of the layer)."""
    import h5py

    saved: dict[str, tuple[tuple[int, ...], str]] = {}

    def note(key: str, item) -> None:
        # A compiled model also saves the state of its optimizer, which is nobody's weights.
        if isinstance(item, h5py.Dataset) and key.startswith("layers/") and "/vars/" in key:
            saved[key] = (tuple(item.shape), item.parent.attrs.get("name"))

    try:
        with h5py.File(path) as file:
            file.visititems(note)
    except OSError as error:
        raise ValueError(
            f"`weights` must be a `.weights.h5` file; this one cannot be read ({error}). Received: weights={path!r}"
        ) from error
    return saved
