"""Keras's functional models as graphs that can be walked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import keras


def is_functional(layer) -> bool:
    """Whether a model is a graph of layers, which can be walked."""
    return isinstance(layer, keras.Model) and hasattr(layer, "operations")


def calls_in_order(network: keras.Model) -> list:
    """The calls of layers that a functional model consists of, each behind those that it depends on."""
    together = network._nodes_by_depth
    return [call for depth in sorted(together, reverse=True) for call in together[depth]]


def input_like(x: keras.KerasTensor) -> keras.KerasTensor:
    """Another input of the same shape, type and name; Keras would give it another where the first was given none."""
    return keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x._keras_history.operation.name)


@contextlib.contextmanager
def calling(layer: keras.layers.Layer, function: Callable) -> Iterator[None]:
    """While open, a layer computes a function in the place of its `call`."""
    before = vars(layer).get("call")  # none of its own: that of its class
    layer.call = function
    try:
        yield
    finally:
        del layer.call
        if before is not None:
            layer.call = before
