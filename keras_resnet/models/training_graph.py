"""A network as JAX trains it: some of its layers are called in another way, whatever its graph looks like."""

from __future__ import annotations

import keras

from keras_resnet.models.functional import calls_in_order, input_like
from keras_resnet.models.layers.convolution_of_images import ConvolutionOfImages
from keras_resnet.models.layers.normalized_product import NormalizedProduct
from keras_resnet.models.normalizations import normalizations


def training_graph(network: keras.Model) -> keras.Model:
    """A model of the layers of another, some of which are called by others that compute the same.

    A `NormalizedProduct` calls each pair that it serves, and a `ConvolutionOfImages` each convolution. All share their
    layers, hence their weights and what of them is frozen; the graph of the other stays as it is. The other itself,
    where nothing is served.

    Args:
        network: A functional model.
    """
    pairs = {conv: bn for conv, bn in normalizations(network).items() if NormalizedProduct.serves(conv, bn)}
    callers = {conv: NormalizedProduct(conv, bn, dtype=bn.dtype_policy, name=bn.name) for conv, bn in pairs.items()}
    callers |= {
        layer: ConvolutionOfImages(layer, dtype=layer.dtype_policy, name=layer.name)
        for layer in network.layers
        if ConvolutionOfImages.serves(layer)
    }
    if not callers:
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
        else:
            results = keras.tree.flatten(callers.get(layer, layer)(*arguments, **options))
        computed |= zip(map(id, call.outputs), results, strict=True)
    outputs = keras.tree.map_structure(lambda x: computed[id(x)], network.output)
    return keras.Model(start, outputs, name=network.name)
