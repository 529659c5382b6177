"""Networks for inference, without the batch normalizations that their convolutions can do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_resnet.models.layers import ProjectionShortcut, Rematerialized, SpaceToDepthConv2D
from keras_resnet.models.residual_network import ResidualNetwork

CONVOLUTIONS = (keras.layers.Conv2D, SpaceToDepthConv2D)
"""Layers whose outputs are proportional to their kernel; a subclass may do something else with it."""


def fold_batch_norm(network: keras.Model) -> keras.Model:
    """A network for inference in which convolutions do the batch normalization behind them.

    With s = gamma / sqrt(variance + epsilon) the kernel becomes kernel * s, and the bias beta - mean * s. Layers keep
    their names, apart from the normalizations, which are gone; of a `ProjectionShortcut` its convolution is left. A
    normalization stays where no convolution of its own precedes it, as in blocks with pre-activation.

    Args:
        network: Any functional model. It stays as it is.

    Returns:
        A network of the same inputs, whose outputs are equal up to rounding; it is not compiled. A `ResidualNetwork` if
        the network is one, and of the same dtype policies; the arithmetic here is float64.

    Raises:
        ValueError: if the model is not functional.

    Reference:
        Jacob et al., 2018, Section 3.2.
    """
    if not is_functional(network):
        raise ValueError(f"`network` must be a functional model. Received: a {type(network).__name__}")
    normalization = normalizations(network)
    folded = set(normalization.values())

    def copy(layer):
        if layer in folded:
            return None
        if layer in normalization:
            return normalized(layer, normalization[layer])
        if isinstance(layer, ProjectionShortcut) and layer.normalize:
            return normalized(layer.conv, layer.bn)
        if isinstance(layer, Rematerialized):
            return Rematerialized(**(layer.get_config() | {"block": fold_batch_norm(layer.block)}))
        return fold_batch_norm(layer) if is_functional(layer) else copied(layer)

    return rebuilt(network, copy)


def is_functional(layer) -> bool:
    """Whether a model is a graph of layers, which can be walked."""
    return isinstance(layer, keras.Model) and hasattr(layer, "operations")


def normalizations(network: keras.Model) -> dict[keras.layers.Layer, keras.layers.BatchNormalization]:
    """The convolutions of a functional model whose outputs nothing sees but a normalization: that of each."""
    calls = [call for together in network._nodes_by_depth.values() for call in together]
    times = Counter(call.operation for call in calls)
    uses = Counter(id(x) for x in network.outputs) + Counter(id(x) for call in calls for x in call.input_tensors)
    origin = {id(y): call.operation for call in calls for y in call.outputs}
    found = {}
    for call in calls:
        layer = call.operation
        if not isinstance(layer, keras.layers.BatchNormalization) or call.arguments.kwargs.get("training"):
            continue
        x = call.input_tensors[0]
        conv = origin[id(x)]
        once = uses[id(x)] == times[conv] == times[layer] == 1
        if once and type(conv) in CONVOLUTIONS and conv.activation is keras.activations.linear:
            channels = 3 if conv.data_format == "channels_last" else 1
            if layer.axis % 4 == channels:
                found[conv] = layer
    return found


def normalized(conv: keras.layers.Conv2D, bn: keras.layers.BatchNormalization) -> keras.layers.Conv2D:
    """The convolution, with a bias, that does what a convolution and a batch normalization do in inference."""
    kernel, bias, gamma, beta, mean, variance = (
        None if variable is None else keras.ops.convert_to_numpy(variable).astype("float64")
        for variable in (conv.kernel, conv.bias, bn.gamma, bn.beta, bn.moving_mean, bn.moving_variance)
    )
    scale = (1.0 if gamma is None else gamma) / np.sqrt(variance + bn.epsilon)
    offset = (0.0 if beta is None else beta) + ((0.0 if bias is None else bias) - mean) * scale
    copy = _built_alike(conv, use_bias=True)
    copy.set_weights([kernel * scale, offset])
    return copy


def copied(layer, **changes: Any):
    """A layer of the same configuration, apart from what changes, and of the same values."""
    if not isinstance(layer, keras.layers.Layer):  # an operation such as `keras.ops.add` has no values
        return type(layer).from_config(layer.get_config())
    copy = _built_alike(layer, **changes)
    for before, after in zip(layer._flatten_layers(), copy._flatten_layers(), strict=True):
        values: dict[str, np.ndarray] = {}
        before.save_own_variables(values)
        # Not `set_weights`, after which `Normalization` would go on with the statistics that it began with.
        after.load_own_variables(values)
    return copy


def _built_alike(layer: keras.layers.Layer, **changes: Any) -> keras.layers.Layer:
    copy = type(layer).from_config(layer.get_config() | changes)
    copy.build_from_config(layer.get_build_config())
    return copy


def _input_alike(x):
    """Another input; Keras would give it another name where the first was given none."""
    return keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x._keras_history.operation.name)


def rebuilt(network: keras.Model, copy: Callable, image=None) -> keras.Model:
    """A functional model with other layers at the same places.

    Args:
        network: Stays as it is.
        copy: What takes the place of a layer; None where nothing does, and its input passes on.
        image: Symbolic tensor to start from. Defaults to an input like that of the network.

    Returns:
        A model of the same name that is not compiled. Of a `ResidualNetwork` another, which has what the weights of the
        first brought along.
    """

    def call(layer, *arguments, **options):
        return arguments[0] if layer is None else layer(*arguments, **options)

    if image is None:
        image = keras.tree.map_structure(_input_alike, network.input)
    # Keras compiles the clone of a compiled model, and fails if it cannot read the loss.
    graph = keras.Model(network.input, network.output, name=network.name)
    new = keras.models.clone_model(graph, input_tensors=image, clone_function=copy, call_function=call)
    if isinstance(network, ResidualNetwork):
        new = ResidualNetwork(new.input, new.output, name=network.name)
        new.preprocessing, new.class_names = network.preprocessing, network.class_names
    return new
