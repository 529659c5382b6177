"""Folding of batch normalization into convolutions, for inference."""

from __future__ import annotations

import keras
import numpy as np

from keras_resnet.models.functional import is_functional
from keras_resnet.models.layers import ProjectionShortcut, Rematerialized
from keras_resnet.models.normalizations import normalizations
from keras_resnet.models.rebuilding import built_like, copied, rebuilt


def fold_batch_norm(network: keras.Model) -> keras.Model:
    """A network for inference whose convolutions do the batch normalization behind them.

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

    def replace(layer):
        if layer in folded:
            return None
        if layer in normalization:
            return normalized(layer, normalization[layer])
        if isinstance(layer, ProjectionShortcut) and layer.normalize:
            return normalized(layer.conv, layer.bn)
        if isinstance(layer, Rematerialized):
            return Rematerialized(**(layer.get_config() | {"block": fold_batch_norm(layer.block)}))
        return fold_batch_norm(layer) if is_functional(layer) else copied(layer)

    return rebuilt(network, replace)


def normalized(conv: keras.layers.Conv2D, bn: keras.layers.BatchNormalization) -> keras.layers.Conv2D:
    """The convolution, with a bias, that does what a convolution and a batch normalization do in inference."""
    kernel, bias, gamma, beta, mean, variance = (
        None if variable is None else keras.ops.convert_to_numpy(variable).astype("float64")
        for variable in (conv.kernel, conv.bias, bn.gamma, bn.beta, bn.moving_mean, bn.moving_variance)
    )
    scale = (1.0 if gamma is None else gamma) / np.sqrt(variance + bn.epsilon)
    offset = (0.0 if beta is None else beta) + ((0.0 if bias is None else bias) - mean) * scale
    copy = built_like(conv, use_bias=True)
    copy.set_weights([kernel * scale, offset])
    return copy
