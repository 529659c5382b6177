"""Functional models built again with other layers at the same places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_resnet.models.functional import input_like
from keras_resnet.models.residual_network import ResidualNetwork


def rebuilt(network: keras.Model, replace: Callable, image=None) -> keras.Model:
    """A functional model with other layers at the same places.

    Args:
        network: A functional model. It stays as it is.
        replace: Function from a layer to the one in its place; None where nothing is, and its input passes on.
        image: Symbolic tensor to start from. Defaults to an input like that of the network.

    Returns:
        A model of the same name that is not compiled; of a `ResidualNetwork` another, with the same metadata, that
        does not rematerialize.
    """

    def call(layer, *arguments, **options):
        return arguments[0] if layer is None else layer(*arguments, **options)

    if image is None:
        image = keras.tree.map_structure(input_like, network.input)
    # Keras compiles the clone of a compiled model, and fails if it cannot read the loss.
    graph = keras.Model(network.input, network.output, name=network.name)
    new = keras.models.clone_model(graph, input_tensors=image, clone_function=replace, call_function=call)
    if isinstance(network, ResidualNetwork):
        new = ResidualNetwork(new.input, new.output, name=network.name)
        new.preprocessing, new.class_names = network.preprocessing, network.class_names
    return new


def copied(layer, **changes: Any):
    """A layer of the same configuration, apart from the changes, and of the same values."""
    if not isinstance(layer, keras.layers.Layer):  # an operation such as `keras.ops.add` has no values
        return type(layer).from_config(layer.get_config())
    copy = built_like(layer, **changes)
    for before, after in zip(layer._flatten_layers(), copy._flatten_layers(), strict=True):
        values: dict[str, np.ndarray] = {}
        before.save_own_variables(values)
        # Not `set_weights`, after which `Normalization` would go on with the statistics that it began with.
        after.load_own_variables(values)
    return copy


def built_like(layer: keras.layers.Layer, **changes: Any) -> keras.layers.Layer:
    """A layer of the same configuration, apart from the changes, with variables of its own."""
    copy = type(layer).from_config(layer.get_config() | changes)
    copy.build_from_config(layer.get_build_config())
    return copy
