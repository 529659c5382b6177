"""A network called with widening 1x1 convolutions and their normalizations as one, whatever its graph looks like."""

from __future__ import annotations

import keras

from keras_resnet.models.functional import calls_in_order, input_like
from keras_resnet.models.layers.normalized_product import NormalizedProduct
from keras_resnet.models.normalizations import normalizations


def normalizing_products(network: keras.Model) -> keras.Model:
    """A model of the layers of another, in which a `NormalizedProduct` calls each pair that it serves.

    Both share their layers, hence their weights and what of them is frozen; the graph of the other stays as it is. The
    other itself, where it has no such pair.

    Args:
        network: A functional model.
    """
    pairs = {conv: bn for conv, bn in normalizations(network).items() if NormalizedProduct.serves(conv, bn)}
    if not pairs:
        return network
    joined = set(pairs.values())
    start = keras.tree.map_structure(input_like, network.input)
    computed = dict(zip(map(id, network.inputs), keras.tree.flatten(start), strict=True))
    for call in calls_in_order(network):
        layer = call.operation
        if call.is_input:
            continue
        arguments, options = call.arguments.fill_in(computed)
        if layer in joined:  # done with its convolution
            results = [arguments[0]]
        elif layer in pairs:
            bn = pairs[layer]
            results = [NormalizedProduct(layer, bn, dtype=bn.dtype_policy, name=bn.name)(*arguments, **options)]
        else:
            results = keras.tree.flatten(layer(*arguments, **options))
        computed |= zip(map(id, call.outputs), results, strict=True)
    outputs = keras.tree.map_structure(lambda x: computed[id(x)], network.output)
    return keras.Model(start, outputs, name=network.name)
