"""Weights out of and into living models of Keras: those of this package and of others."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from keras_resnet.models.residual_network import ResidualNetwork, inner_layers
from keras_resnet.weights.conversion.layouts import LAYOUTS
from keras_resnet.weights.conversion.recognition import check_form, identify
from keras_resnet.weights.conversion.translation import from_ours, to_ours, weighted


def import_weights(network: ResidualNetwork, state: Mapping[str, np.ndarray], layout: str) -> None:
    """Gives a network the weights of a state, all or none, and says what its images must be turned into.

    Those of a classifier are passed over in a network without one.

    Args:
        network: Built for the layout's `options`, and of the same depth, shortcut and classes.
        state: Arrays by the names of the layout; see `read_state` and `state_of`.
        layout: A key of `LAYOUTS`; see `detect`.

    Raises:
        ValueError: naming the first layer that differs, or the argument that the network must be built with.
    """
    check_form(network.form, layout)
    assign(network, to_ours(state, layout, identify(state, layout)))
    network.preprocessing = LAYOUTS[layout].preprocessing


def export_weights(network: ResidualNetwork, layout: str) -> dict[str, np.ndarray]:
    """The weights of a network by the names of a layout, float32: what `import_weights` turns into the same again.

    `assign` gives them to a model of keras.applications or KerasHub, whose `save_weights` writes a file of them.

    Args:
        network: Built for the layout's `options`.
        layout: A key of `LAYOUTS`.

    Raises:
        ValueError: if the layout has no such network.
    """
    form = network.form
    check_form(form, layout)
    layers = {layer.name for layer in weighted(form)}
    arrays = state_of(network).items()
    return from_ours({name: array for name, array in arrays if name.partition("/")[0] in layers}, layout, form)


def state_of(model: keras.Model) -> dict[str, np.ndarray]:
    """The weights of a model of Keras by layer and variable, such as `conv1_conv/kernel`, also of models inside."""
    return {name: keras.ops.convert_to_numpy(variable) for name, variable in variables(model).items()}


def variables(model: keras.Model) -> dict[str, keras.Variable]:
    """The variables of a model of Keras by layer and variable, also of models inside of it."""
    return {
        f"{layer.name}/{variable.name}": variable
        for layer in inner_layers(model)
        if not getattr(layer, "layers", None)
        for variable in layer.weights
    }


def assign(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Gives a model of Keras weights by layer and variable, all or none.

    Those of `predictions` are passed over in a model without such a layer.

    Args:
        model: Of this package, or any other with the same names.
        arrays: In Keras's order of axes.

    Raises:
        ValueError: naming the first layer that differs.
    """
    wanted, left = variables(model), dict(arrays)
    for name, variable in wanted.items():
        if name not in left:
            raise ValueError(f"The weights must have {name}, as {model.name!r} has. They have not")
        shape, received = tuple(variable.shape), np.shape(left.pop(name))
        if received != shape:
            raise ValueError(
                f"{name} must have the shape {shape}, as in {model.name!r}. Received: {received}. Build a network of "
                "the same depth, shortcut and classes"
            )
    top = "predictions/kernel" in wanted
    if more := [name for name in left if top or not name.startswith("predictions/")]:
        raise ValueError(
            f"{model.name!r} must have a place for every weight. It has none for {len(more)}, such as {more[0]}. Build "
            "a network of the same depth and shortcut"
        )
    for name, variable in wanted.items():
        variable.assign(arrays[name])
