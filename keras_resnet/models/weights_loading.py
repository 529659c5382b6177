"""Weights from any file or model into any network that they fit."""

from __future__ import annotations

import json
import os
import re
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from keras_resnet.facts.network_spec import SHAPELESS, check_spec
from keras_resnet.models.keras_models import converted_model
from keras_resnet.models.quantized_layers import float_arrays, is_quantized
from keras_resnet.models.residual_network import ResidualNetwork, inner_layers
from keras_resnet.weights import metadata
from keras_resnet.weights.arrays import Weights
from keras_resnet.weights.conversion import converted
from keras_resnet.weights.readers.checkpoint import unwrapped
from keras_resnet.weights.readers.keras_shards import read_shards
from keras_resnet.weights.readers.state_dict import read_checkpoint
from keras_resnet.weights.readers.tensors import float32_of

OURS = re.compile(r"conv\d+(_block\d+)?_(\d_|preact_)?(conv|bn)|post_bn|predictions")
"""The layers of a network of ours that have weights; a user's in front, such as a normalization, do not match."""


def find(source) -> Weights:
    """The weights that the argument `weights` of a builder names.

    Args:
        source: Path of a file; a Keras model, of this package or another; arrays or tensors by the names of any layout
            in `conversion.LAYOUTS`, as `state_dict()` of a torch module returns them; or `Weights`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds something else, is damaged, or has values that are not finite.
        ModuleNotFoundError: if the library that reads it is not installed.
        TypeError: for any other source.
    """
    if isinstance(source, Weights):
        return source
    if isinstance(source, ResidualNetwork):
        return weights_of(source)
    if isinstance(source, keras.Model):
        arrays = state_dict(source)
        return Weights(arrays, None) if _has_our_names(arrays) else converted_model(source, arrays)
    if isinstance(source, Mapping):
        given = {name: _plain(tensor) for name, tensor in unwrapped(source).items()}
        return recognized({name: float32_of(tensor, name, "`weights`") for name, tensor in given.items()})
    if isinstance(source, str | os.PathLike):
        return read(source)
    raise TypeError(
        "`weights` must be None, 'imagenet', the path of a file, a Keras model, or arrays by name, "
        f"such as the `state_dict()` of a torch module. Received: {type(source).__name__}"
    )


def read(path: str | os.PathLike, entry: str | None = None) -> Weights:
    """The weights in a file of this package (`.weights.h5`, `.keras`), or of any layout in `conversion.LAYOUTS`.

    Args:
        path: The file.
        entry: Key of the weights in a checkpoint of PyTorch that holds several, such as `"model_ema"`. Defaults to the
            average of the weights where there is one, as torchvision and timm evaluate it, or else to the usual key.

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
    if entry is None and path.suffix == ".keras" and holds_our_network(path):
        return weights_of(load_network(path))
    if path.name.endswith(".weights.json"):
        return Weights(read_shards(path), metadata.read_beside_shards(path))
    checkpoint = read_checkpoint(path, entry)
    if path.suffix == ".h5" and (known := metadata.read(path)):
        return Weights(checkpoint.state_dict, known)
    if _has_our_names(checkpoint.state_dict):
        return Weights(checkpoint.state_dict, None)
    if entry is None and checkpoint.others:
        warnings.warn(
            f"{path} holds the weights {checkpoint.entry}, which are taken, and {', '.join(checkpoint.others)}. To "
            f"choose: weights=keras_resnet.models.weights_loading.read(file, entry={checkpoint.others[0]!r})",
            stacklevel=2,
        )
    try:
        if path.suffix in (".keras", ".h5", ".hdf5") and (model := whole_model(path)):
            return find(model)
        return converted(checkpoint)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def recognized(arrays: Mapping[str, np.ndarray]) -> Weights:
    """The weights in a state dict, by the names of this package or of another.

    Raises:
        ValueError: if the names are those of no layout, or the weights belong to no network of ours.
    """
    return Weights(dict(arrays), None) if _has_our_names(arrays) else converted(arrays)


def _has_our_names(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether arrays have the names of this package."""
    return {"conv1_conv/kernel", "conv2_block1_1_bn/gamma"} <= set(arrays) and "conv1_conv/bias" not in arrays


def _plain(tensor):
    """A variable of Keras as an array; what other frameworks have as it is."""
    return keras.ops.convert_to_numpy(tensor) if isinstance(tensor, keras.Variable) else tensor


def whole_model(path: Path) -> keras.Model | None:
    """The model of another package in a file; None if it holds weights alone, or what Keras cannot load safely."""
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception:  # Keras raises whatever its readers meet
        return None


def holds_our_network(path: Path) -> bool:
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


def variables(model: keras.Model) -> dict[str, keras.Variable]:
    """The variables of a model by layer and name, such as `conv1_conv/kernel`, in the model's order.

    Those of models and layers inside are among them. Of a network of this package they are those of its own layers,
    without a user's in front.
    """
    ours = isinstance(model, ResidualNetwork)
    return {
        f"{layer.name}/{variable.name}": variable
        for layer in inner_layers(model)
        if (OURS.fullmatch(layer.name) if ours else not getattr(layer, "layers", None))
        for variable in layer.weights
    }


def state_dict(model: keras.Model) -> dict[str, np.ndarray]:
    """The arrays of `variables`; of a quantized layer those of the float layer that computes the same.

    Raises:
        ValueError: naming a quantized layer whose weights cannot be had back.
    """
    arrays = {name: keras.ops.convert_to_numpy(variable) for name, variable in variables(model).items()}
    for layer in filter(is_quantized, inner_layers(model)):
        of_others = {name: array for name, array in arrays.items() if not name.startswith(f"{layer.name}/")}
        arrays = of_others | {f"{layer.name}/{name}": array for name, array in float_arrays(layer).items()}
    return arrays


def weights_of(network: ResidualNetwork) -> Weights:
    """The weights of a network."""
    return Weights(state_dict(network), network.weights_metadata)


def load_weights(network: ResidualNetwork, weights: Weights, *, new_top: bool = False, source: str = "") -> None:
    """Gives a network weights, all or none, and their metadata.

    Those of a classifier are passed over in a network without one. A first convolution for another number of channels
    gets the kernel adapted; see `adapted_kernel`.

    Args:
        network: A network of the same specification, apart from that.
        weights: See `find`.
        new_top: Whether the classifier keeps the weights that it starts with, for classes of its own.
        source: Name of the file, for errors.

    Raises:
        ValueError: naming the first layer that differs, or where all shapes agree the argument. The network keeps the
            weights that it had.
    """
    arrays = dict(weights.arrays)
    wanted = variables(network)
    if new_top:
        arrays |= {name: np.array(variable) for name, variable in wanted.items() if name.startswith("predictions/")}
    kernel, first = arrays.get("conv1_conv/kernel"), wanted["conv1_conv/kernel"]
    if kernel is not None and kernel.ndim == 4 and kernel.shape[2] == 3 != first.shape[2]:
        arrays["conv1_conv/kernel"] = adapted_kernel(kernel, first.shape[2])
    pairs = matched(network, arrays, source)
    if weights.metadata:
        said = [argument for argument in SHAPELESS if argument not in weights.assumed]
        allowed = {argument: (getattr(weights.metadata.spec, argument),) for argument in said}
        check_spec(
            network.spec, allowed, "the network that these weights are of", f", weights={source!r}" if source else ""
        )
    for variable, array in pairs:
        variable.assign(array)
    if weights.metadata:
        network.preprocessing = weights.metadata.preprocessing
        network.class_names = None if new_top else weights.metadata.class_names


def assign(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Gives a Keras model, of this package or another, weights by layer and variable, all or none.

    Raises:
        ValueError: as `matched`.
    """
    for variable, array in matched(model, arrays):
        variable.assign(array)


def matched(
    model: keras.Model, arrays: Mapping[str, np.ndarray], source: str = ""
) -> list[tuple[keras.Variable, np.ndarray]]:
    """Each variable of a model with its array; those of a classifier are passed over in a model without one.

    Args:
        model: A Keras model.
        arrays: By layer and variable, in Keras's order of axes.
        source: Name of the file that they are from, for errors.

    Raises:
        ValueError: naming the first layer that differs.
    """
    rule = "`weights` must belong to a network of the same arguments"
    received = f". Received: weights={source!r}" if source else ""
    wanted = variables(model)
    if quantized := next(filter(is_quantized, inner_layers(model)), None):
        raise ValueError(
            f"`weights` must be given to a network before it is quantized. Layer {quantized.name!r} of {model.name!r} "
            f"is quantized ({quantized.quantization_mode})"
        )
    for name, variable in wanted.items():
        layer, _, kind = name.partition("/")
        shape, array = tuple(variable.shape), arrays.get(name)
        if array is None or np.shape(array) != shape:
            has = "none" if array is None else f"{kind} of shape {np.shape(array)} of layer {layer!r}"
            raise ValueError(
                f"{rule}. Layer {layer!r} of {model.name!r} wants {kind} of shape {shape}, the weights have {has}"
                f"{received}. {remedy(layer)}"
            )
    top = "predictions/kernel" in wanted
    if more := sorted(name for name in arrays if name not in wanted and (top or not name.startswith("predictions/"))):
        raise ValueError(
            f"{rule}. The weights have {len(more)} arrays for layers that {model.name!r} lacks, such as "
            f"{more[0].partition('/')[0]!r}{received}. {remedy()}"
        )
    return [(variable, arrays[name]) for name, variable in wanted.items()]


def remedy(layer: str = "") -> str:
    """The way out where a layer differs."""
    if layer == "predictions":
        return "For classes of your own, start the classifier anew: new_top=True"
    return "Build a network of the same depth, shortcut and options"


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
