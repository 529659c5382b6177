"""The arrays in Keras's files: `.weights.h5`, `.keras`, and the older `.h5`."""

from __future__ import annotations

import io
import itertools
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.weights.readers.checkpoint import Checkpoint
from keras_resnet.weights.readers.tensors import float32_of

ORDER = {True: ("kernel", "bias"), False: ("gamma", "beta", "moving_mean", "moving_variance")}
"""The variables of a layer in a `.weights.h5`, which numbers them, by whether the first has several axes."""

DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)
"""Errors of h5py on its way through a damaged or a foreign file."""


PLAIN = re.compile(
    r"(input|conv|bn|batch_norm|activation|re_?lu|add|zero_padding|(max|avg|global)_?\w*pool|pool|dense|predictions|probs"
    r"|softmax|dropout|flatten|post_|res_net_backbone|resizing|center_crop|random_|vars).*"
)
"""The layers, by class or name, that leave the values of images as they are, or stand behind the first convolution."""


def read_keras(path: Path) -> Checkpoint:
    """The variables of every layer by layer and variable, such as `conv1_conv/kernel`, also of models inside.

    Raises:
        ValueError: if it is no such file, or is damaged.
        ModuleNotFoundError: if h5py is not installed.
    """
    import h5py

    try:
        content: Any = path
        if path.suffix.lower() == ".keras":
            with zipfile.ZipFile(path) as archive:
                content = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(content) as file:
            old = file.get("model_weights", file)
            layers = _texts(old, "layer_names")
            named = _by_layer_names(old) if layers else _by_class_and_counter(file)
            state_dict = {name: _array(dataset, file) for name, dataset in named}
            has_front = not all(map(PLAIN.fullmatch, layers or file.get("layers", ())))
    except (*DAMAGE, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is no file of Keras's weights, or damaged ({error}); get it again") from error
    if not state_dict:
        raise ValueError(f"{path} is no file of Keras's weights: it has no layer with weights")
    if quantized := _quantized(state_dict):
        raise ValueError(
            f"{path} holds a quantized layer, {quantized!r}. Save the network from before, or load this one in Keras "
            "and give the model itself"
        )
    arrays = {name: float32_of(array, name, path) for name, array in state_dict.items()}
    return Checkpoint(arrays, has_front=has_front)


def _quantized(state_dict: Mapping[str, np.ndarray]) -> str | None:
    """The first layer that has more variables than a dense layer has, a matrix among them."""
    numbered = ((name.rpartition("/"), array) for name, array in state_dict.items())
    return next((layer for (layer, _, number), array in numbered if number.isdigit() and array.ndim == 2), None)


def _by_layer_names(root) -> Iterator[tuple[str, Any]]:
    """Of the older `.h5`, in which each layer lists its weights: `conv1_conv/kernel:0`.

    A model inside of a model is one layer there, and its weights are called by their own layers.
    """
    for layer in _texts(root, "layer_names"):
        weights = _texts(root[layer], "weight_names")
        parts = [weight.partition(":")[0].split("/")[-2:] for weight in weights]
        inside = len({part[0] for part in parts}) > 1
        for weight, part in zip(weights, parts, strict=True):
            yield f"{part[0] if inside else layer}/{part[-1]}", root[layer][weight]


def _texts(group, name: str) -> list[str]:
    """A list of texts beside a group, in pieces `name0`, `name1`, … where it is long."""
    pieces = [name, *itertools.takewhile(group.attrs.__contains__, (f"{name}{k}" for k in itertools.count()))]
    texts = [text for piece in pieces for text in group.attrs.get(piece, ())]
    return [text.decode() if isinstance(text, bytes) else str(text) for text in texts]


def _by_class_and_counter(file) -> Iterator[tuple[str, Any]]:
    """Of a `.weights.h5`, whose groups are called by class and counter and bear the name of the layer beside."""
    groups: list = []
    file.visititems(lambda key, item: groups.append(item) if key.endswith("/vars") else None)
    for group in groups:
        if not len(group) or group.name.startswith("/optimizer/"):
            continue
        layer = group.attrs.get("name", group.parent.name)  # older versions of Keras gave them none
        datasets = [group[key] for key in sorted(group, key=int)]
        names = ORDER[len(datasets[0].shape) > 1]
        if len(datasets) > len(names):
            names = tuple(map(str, range(len(datasets))))  # of a layer that no network here has
        yield from ((f"{layer}/{name}", dataset) for name, dataset in zip(names, datasets, strict=False))


def _array(dataset, file) -> np.ndarray:
    """The values of a data set that lies in the file."""
    if dataset.file.filename != file.filename or dataset.external or dataset.is_virtual:
        raise ValueError(f"{dataset.name} lies in another file")
    if dataset.dtype.kind not in "fiubcV":
        raise ValueError(f"{dataset.name} has no numbers")
    return values_of(dataset)


def values_of(dataset) -> np.ndarray:
    """The values of a dataset, of which Keras keeps bfloat16 as bytes: the upper half of a float32."""
    if dataset.attrs.get("dtype") == "bfloat16":
        return (dataset[()].view("<u2").astype("<u4") << 16).view("<f4")
    return dataset[()]
