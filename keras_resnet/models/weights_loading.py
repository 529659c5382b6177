"""Weights by the names of our layers, from any file, into any network that they fit."""

from __future__ import annotations

import json
import os
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_resnet.facts.network_spec import NetworkSpec
from keras_resnet.models.residual_network import ResidualNetwork, inner_layers
from keras_resnet.weights import conversion, metadata
from keras_resnet.weights.metadata import WeightsMetadata
from keras_resnet.weights.readers import state_dict

OURS = re.compile(r"conv\d+(_block\d+)?_(\d_|preact_)?(conv|bn)|post_bn|predictions")
"""The layers of a network that have weights. What a user put in front, such as a normalization, is not among them."""
SHAPELESS = ("shortcut", "bottleneck_stride", "preactivation", "pool_padding")
"""What two networks of the same shapes can differ in."""


@dataclass(frozen=True, eq=False)
class Weights:
    """What a file holds.

    Args:
        arrays: By layer and variable, such as `conv2_block1_1_bn/gamma`, in Keras's order of axes.
        carried: What must be known of them; None in a file that an older version of this package wrote.
        layout: Whose they were, as a key of `conversion.LAYOUTS`; None for this package.
    """

    arrays: dict[str, np.ndarray]
    carried: WeightsMetadata | None
    layout: str | None = None


def read(path: str | os.PathLike) -> Weights:
    """The weights in a file of this package (`.weights.h5`, `.keras`), or of any layout in `conversion.LAYOUTS`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds something else, is damaged, or has values that are not finite.
        ModuleNotFoundError: if the library that reads it is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"`weights` must be None, 'imagenet', or the path of a file that exists. Received: weights={str(path)!r}"
        )
    if path.suffix == ".keras" and is_ours(path):
        return of(load_network(path))
    state = state_dict.read_state(path)
    if path.suffix == ".h5" and (known := metadata.read(path)):
        return Weights(state, known)
    if {"conv1_conv/kernel", "conv2_block1_1_bn/gamma"} <= set(state) and "conv1_conv/bias" not in state:
        return Weights(state, None)
    return converted(state)


def converted(state: Mapping[str, np.ndarray]) -> Weights:
    """The weights of another package.

    Args:
        state: Arrays by its names; see `state_dict.read_state` and `foreign_models.state_of`.

    Raises:
        ValueError: if they have the names of no layout, or are of no network that we have.
    """
    layout = conversion.detect(state)
    form = conversion.identify(state, layout)
    known = WeightsMetadata(form, conversion.LAYOUTS[layout].preprocessing)
    return Weights(conversion.to_ours(state, layout, form), known, layout)


def is_ours(path: Path) -> bool:
    """Whether a `.keras` file holds a network of this package."""
    try:
        with zipfile.ZipFile(path) as archive:
            name = json.loads(archive.read("config.json"))["registered_name"]
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error):
        return False
    return name == keras.saving.get_registered_name(ResidualNetwork)


def load_network(path: Path) -> ResidualNetwork:
    """The network in a `.keras` file.

    Raises:
        ValueError: if there is none of this package, or the file is damaged.
    """
    try:
        network = keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever its readers meet in a damaged file
        raise ValueError(f"{path} is no network that Keras can load, or damaged ({error})") from error
    if not isinstance(network, ResidualNetwork):
        raise ValueError(f"{path} must hold a network of this package. Received: {type(network).__name__}")
    return network


def of(network: ResidualNetwork) -> Weights:
    """The weights of a network."""
    arrays = {name: keras.ops.convert_to_numpy(variable) for name, variable in variables(network).items()}
    return Weights(arrays, network.carried)


def variables(network: keras.Model) -> dict[str, keras.Variable]:
    """Every variable of the layers that have weights in a file, in the network's order."""
    return {
        f"{layer.name}/{variable.name}": variable
        for layer in inner_layers(network)
        if OURS.fullmatch(layer.name)
        for variable in layer.weights
    }


def load_weights(network: ResidualNetwork, weights: Weights, *, new_top: bool = False, source: str = "") -> None:
    """Gives a network the weights of a file, all or none.

    Those of a classifier are passed over in a network without one. A first convolution for another number of channels
    gets the kernel adapted; see `adapted_kernel`.

    Args:
        network: Of the same form, apart from that.
        weights: See `read`.
        new_top: Whether the classifier keeps the weights that it starts with, for classes of its own.
        source: How errors call the file.

    Raises:
        ValueError: naming the first layer that differs, or the argument that no shape tells. The network keeps the
            weights that it had.
    """
    arrays = dict(weights.arrays)
    wanted = variables(network)
    if new_top or "predictions/kernel" not in wanted:
        arrays = {name: array for name, array in arrays.items() if not name.startswith("predictions/")}
    if new_top:
        arrays |= {name: np.array(wanted[name]) for name in wanted if name.startswith("predictions/")}
    kernel, first = arrays.get("conv1_conv/kernel"), wanted["conv1_conv/kernel"]
    if kernel is not None and kernel.ndim == 4 and kernel.shape[2] == 3 != first.shape[2]:
        arrays["conv1_conv/kernel"] = adapted_kernel(kernel, first.shape[2])
    check(network, arrays, source)
    if weights.carried:
        check_form(network, weights.carried.form, source)
    assign(network, arrays)
    if weights.carried:
        network.preprocessing = weights.carried.preprocessing
        network.class_names = None if new_top else weights.carried.class_names


def adapted_kernel(kernel: np.ndarray, channels: int) -> np.ndarray:
    """The first kernel for images of another number of channels.

    One channel sees what three equal ones would; more take the kernel's in turns, weakened so that images of equal
    channels look as before.

    Args:
        kernel: [height, width, 3, filters].
        channels: At least 1.

    Returns:
        [height, width, channels, filters].

    Reference:
        Wightman, timm, `adapt_input_conv`.
    """
    if channels == 1:
        return kernel.sum(axis=2, keepdims=True)
    return kernel[:, :, np.arange(channels) % 3] * (3 / channels)


def assign(network: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Gives a network weights by name, which `check` has let through."""
    for name, variable in variables(network).items():
        variable.assign(arrays[name])


def check(network: keras.Model, arrays: Mapping[str, np.ndarray], source: str = "") -> None:
    """Compares names and shapes.

    Raises:
        ValueError: naming the first layer that differs.
    """
    rule = "`weights` must belong to a network of the same arguments"
    received = f". Received: weights={source!r}" if source else ""
    wanted = variables(network)
    for name, variable in wanted.items():
        layer, _, kind = name.partition("/")
        shape, found = tuple(variable.shape), arrays.get(name)
        if found is None or found.shape != shape:
            has = "none" if found is None else f"{kind} of shape {found.shape} of layer {layer!r}"
            raise ValueError(
                f"{rule}. Layer {layer!r} of {network.name!r} wants {kind} of shape {shape}, the file has {has}"
                f"{remedy(layer)}{received}"
            )
    if more := sorted(name for name in arrays if name not in wanted):
        raise ValueError(
            f"{rule}. The file has {len(more)} arrays for layers that {network.name!r} lacks, such as "
            f"{more[0].partition('/')[0]!r}{received}"
        )


def remedy(layer: str) -> str:
    """What to do where a layer differs, if that is not to build another network."""
    return ". For classes of your own, start the classifier anew: new_top=True" if layer == "predictions" else ""


def check_form(network: ResidualNetwork, wanted: NetworkSpec, source: str = "") -> None:
    """Refuses a network in which the same weights would mean something else, though every shape fits.

    Raises:
        ValueError: naming the argument that it must be built with.
    """
    has = network.form
    for argument in SHAPELESS:
        if (value := getattr(wanted, argument)) != getattr(has, argument):
            raise ValueError(
                f"`{argument}` must be {value!r}, as in the network that these weights are of. "
                f"Received: {argument}={getattr(has, argument)!r}, weights={source!r}"
            )
