"""Weights of a PyTorch layout into a network of ours, and back, to the bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import keras
import numpy as np

from keras_resnet.conversion.layouts import LAYER, LAYOUTS, Layout
from keras_resnet.layers import IdentityShortcut
from keras_resnet.residual_network import ResidualNetwork, inner_layers

AXES = {4: (2, 3, 1, 0), 2: (1, 0)}
"""From a kernel of PyTorch (outputs first) to one of Keras (outputs last), by the number of its axes."""
VARIABLES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
"""Keras's variables by PyTorch's names."""
UNUSED = "num_batches_tracked"


def import_weights(network: ResidualNetwork, state: Mapping[str, np.ndarray], layout: str) -> None:
    """Gives a network the weights of a state, all or none.

    Args:
        network: Built for the layout's `options`, and of the same depth, shortcut and classes.
        state: Arrays by PyTorch's names; see `read_state`.
        layout: A key of `LAYOUTS`.

    Raises:
        ValueError: naming the first layer that differs, or the argument that the network must be built with.
    """
    facts = LAYOUTS[layout]
    check_form(network, facts, layout)
    order, left, chosen = channel_orders(network, facts), dict(state), []
    for layer, variable, name in correspondence(network, facts):
        array = left.pop(name, None)
        if array is None:
            raise ValueError(f"The weights must have {name}, for {layer.name} of {network.name!r}. They have not")
        axes = AXES.get(array.ndim)
        array = np.asarray(array).transpose(axes) if axes else np.asarray(array)
        if array.shape != tuple(variable.shape):
            raise ValueError(
                f"{name} must have the shape {tuple(variable.shape)} of {layer.name} of {network.name!r}, in Keras's "
                f"order of axes. Received: {array.shape}. Build a network of the same depth, shortcut and classes"
            )
        chosen.append((variable, reordered(array, *order.get(layer.name, (None, None)))))
    if more := [name for name in left if not name.endswith(UNUSED)]:
        raise ValueError(
            f"{network.name!r} must have a place for every weight. It has none for {len(more)}, such as {more[0]}. "
            "Build a network of the same depth and shortcut"
        )
    for variable, array in chosen:
        variable.assign(array)


def export_weights(network: ResidualNetwork, layout: str) -> dict[str, np.ndarray]:
    """The weights of a network by PyTorch's names, float32: what `import_weights` turns into the same again.

    Args:
        network: Built for the layout's `options`.
        layout: A key of `LAYOUTS`.

    Raises:
        ValueError: if the layout has no such network.
    """
    facts = LAYOUTS[layout]
    check_form(network, facts, layout)
    order, state = channel_orders(network, facts), {}
    for layer, variable, name in correspondence(network, facts):
        inputs, outputs = (None if way is None else np.argsort(way) for way in order.get(layer.name, (None, None)))
        array = reordered(keras.ops.convert_to_numpy(variable), inputs, outputs)
        state[name] = np.ascontiguousarray(array.transpose(np.argsort(AXES[array.ndim])) if array.ndim > 1 else array)
    return state


def correspondence(network: ResidualNetwork, facts: Layout) -> Iterator[tuple[keras.layers.Layer, keras.Variable, str]]:
    """Every layer with weights, each of its variables, and the variable's name elsewhere.

    Raises:
        ValueError: if a layer has no counterpart.
    """
    for layer in inner_layers(network):
        if not layer.weights or getattr(layer, "layers", None):
            continue
        theirs = facts.name(layer.name)
        if theirs is None:
            raise ValueError(f"{layer.name} of {network.name!r} has weights, and no counterpart in that layout")
        yield from ((layer, variable, f"{theirs}.{VARIABLES[variable.name]}") for variable in layer.weights)


def check_form(network: ResidualNetwork, facts: Layout, layout: str) -> None:
    """Refuses a network in which the same weights would mean something else: no shape would tell.

    Raises:
        ValueError: naming the argument that it must be built with.
    """
    layers = {layer.name: layer for layer in inner_layers(network)}
    form = {
        "pool_padding": "symmetric" if "pool1_pad" in layers else "same",
        "bottleneck_stride": "3x3" if "conv3_block1_2_pad" in layers else "1x1",
    }
    if "pool1_pool" not in layers:
        del form["pool_padding"]
    if "conv3_block1_3_conv" not in layers:
        del form["bottleneck_stride"]
    for argument, value in form.items():
        wanted = facts.options.get(argument, value)
        if value != wanted:
            raise ValueError(f"Weights of {layout} need a network of {argument}={wanted!r}. Received: {value!r}")
    family = "imagenet" if "pool1_pool" in layers else "cifar"
    if family != facts.family:
        raise ValueError(f"Weights of {layout} are for networks of the family {facts.family}. Received: {network.name}")


def channel_orders(network: ResidualNetwork, facts: Layout) -> dict[str, tuple[np.ndarray | None, np.ndarray | None]]:
    """By layer, which of their input and output channels each of ours is, where the orders differ.

    A shortcut of option A adds channels of zeros. Ours come last; where theirs are on both sides, all that is added up
    after it has the old channels in the middle. Within a block the orders are the same.
    """
    if not facts.centred or not any(isinstance(layer, IdentityShortcut) for layer in inner_layers(network)):
        return {}
    orders: dict[str, tuple[np.ndarray | None, np.ndarray | None]] = {}
    last: dict[tuple[int, int], int] = {}
    for layer in inner_layers(network):
        if match := LAYER.fullmatch(layer.name):
            block = int(match["stage"]), int(match["block"])
            last[block] = max(last.get(block, 0), int(match["number"]))
    stream = np.arange(network.get_layer("conv1_conv").filters)
    for (stage, block), number in sorted(last.items()):
        name = f"conv{stage}_block{block}_"
        before, channels = stream, network.get_layer(f"{name}{number}_conv").filters
        stream = widened(before, channels)
        orders[f"{name}1_conv"] = (before, None)
        orders[f"{name}{number}_conv"] = (None, stream)
        orders[f"{name}{number}_bn"] = (None, stream)
    return orders | {"predictions": (stream, None)}


def widened(order: np.ndarray, channels: int) -> np.ndarray:
    """The order of the channels after a shortcut that adds some on both sides."""
    margin = (channels - len(order)) // 2
    added = [*range(margin), *range(margin + len(order), channels)]
    return np.array([*(order + margin), *added])


def reordered(array: np.ndarray, inputs: np.ndarray | None, outputs: np.ndarray | None) -> np.ndarray:
    """Takes input channels (the last axis but one) and output channels (the last) in an order."""
    if inputs is not None and array.ndim > 1:
        array = np.take(array, inputs, axis=-2)
    return array if outputs is None else np.take(array, outputs, axis=-1)
