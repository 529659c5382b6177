"""Orders of channels, where option A of another package puts the new ones elsewhere than ours."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from keras_resnet.facts.network_spec import NetworkSpec

Orders = dict[str, tuple[np.ndarray | None, np.ndarray | None]]


def centered_orders(spec: NetworkSpec) -> Orders:
    """By layer, the package's input and output channels in our order, where the orders differ.

    A shortcut of option A adds channels of zeros. Ours come last; where theirs are on both sides, all that is added up
    after it has the old channels in the middle. Within a block the orders are the same.
    """
    orders: Orders = {}
    stream = np.arange(spec.architecture.stem.filters)
    last = 3 if spec.block == "bottleneck" else 2
    for block in spec.architecture.plan():
        orders[f"{block.name}_1_conv"] = (stream, None)
        stream = widened(stream, block.out_filters)
        orders[f"{block.name}_{last}_conv"] = (None, stream)
        orders[f"{block.name}_{last}_bn"] = (None, stream)
    return orders | {"predictions": (stream, None)}


def widened(order: np.ndarray, channels: int) -> np.ndarray:
    """The order of the channels after a shortcut that adds some on both sides."""
    margin = (channels - len(order)) // 2
    added = [*range(margin), *range(margin + len(order), channels)]
    return np.array([*(order + margin), *added])


def inverse(orders: Orders) -> Orders:
    """The orders that undo some."""
    return {
        layer: tuple(None if order is None else np.argsort(order) for order in both) for layer, both in orders.items()
    }


def reordered(arrays: Mapping[str, np.ndarray], orders: Orders) -> dict[str, np.ndarray]:
    """Arrays by the names of our variables with their input and output channels in other orders.

    Input channels are the last axis but one, output channels the last.
    """
    result = dict(arrays)
    for name, array in arrays.items():
        inputs, outputs = orders.get(name.partition("/")[0], (None, None))
        if inputs is not None and array.ndim > 1:
            array = np.take(array, inputs, axis=-2)
        result[name] = array if outputs is None else np.take(array, outputs, axis=-1)
    return result
