"""The convolutions of a functional model that a batch normalization follows."""

from __future__ import annotations

from collections import Counter

import keras

from keras_resnet.models.functional import calls_in_order
from keras_resnet.models.layers import SpaceToDepthConv2D

CONVOLUTIONS = (keras.layers.Conv2D, SpaceToDepthConv2D)
"""Layers whose outputs are proportional to their kernel; a subclass may do something else with it."""


def normalizations(network: keras.Model) -> dict[keras.layers.Layer, keras.layers.BatchNormalization]:
    """Each convolution of a functional model whose outputs go to a normalization alone, and that normalization."""
    calls = calls_in_order(network)
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
