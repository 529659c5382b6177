"""Float weights of layers that Keras's `quantize` has changed."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from keras_resnet.models.functional import is_functional
from keras_resnet.models.rebuilding import built_like, copied, rebuilt


def is_quantized(layer: keras.layers.Layer) -> bool:
    """Whether a layer computes with quantized weights."""
    return bool(getattr(layer, "quantization_mode", None))


def float_arrays(layer: keras.layers.Layer) -> dict[str, np.ndarray]:
    """The kernel and the bias of a quantized layer, as it multiplies by them.

    Args:
        layer: A dense layer, in any mode of `quantize`.

    Returns:
        float32 arrays by the names of the variables.

    Raises:
        ValueError: for a layer of another kind.
    """
    if not isinstance(layer, keras.layers.Dense):
        raise ValueError(
            f"Layer {layer.name!r} is quantized ({layer.quantization_mode}), and its weights cannot be had back, as "
            "those of a dense layer can. Give the network from before"
        )
    kernel = KERNELS.get(layer.quantization_mode, _by_its_outputs)(layer)
    return {"kernel": kernel} | ({} if layer.bias is None else {"bias": _array(layer.bias)})


def dequantized(network: keras.Model) -> keras.Model:
    """A network of float layers with the weights that a quantized one computes with; one that is not quantized itself.

    Args:
        network: A functional model. It stays as it is.

    Raises:
        ValueError: if a layer is quantized that is no dense layer.
    """
    if not any(map(is_quantized, network._flatten_layers())):
        return network

    def replace(layer):
        if is_functional(layer):
            return rebuilt(layer, replace)
        if not is_quantized(layer):
            return copied(layer)
        arrays = float_arrays(layer)
        copy = built_like(layer, dtype=layer.dtype_policy.compute_dtype)
        copy.set_weights([arrays[variable.name] for variable in copy.weights])
        return copy

    return rebuilt(network, replace)


def _of_int8(layer: keras.layers.Dense) -> np.ndarray:
    return _array(layer.kernel) / _array(layer.kernel_scale)


def _of_float8(layer: keras.layers.Dense) -> np.ndarray:
    return _array(layer.kernel)  # kept whole beside its scales


def _by_its_outputs(layer: keras.layers.Dense) -> np.ndarray:
    """The kernel of a layer whose weights are packed: the outputs for one input at a time, without the bias."""
    activation, layer.activation = layer.activation, None
    try:
        outputs = _array(layer(np.eye(layer.input_spec.axes[-1], dtype="float32")))
    finally:
        layer.activation = activation
    return outputs if layer.bias is None else outputs - _array(layer.bias)


def _array(variable) -> np.ndarray:
    return keras.ops.convert_to_numpy(keras.ops.cast(variable, "float32"))


KERNELS: dict[str, Callable[[keras.layers.Dense], np.ndarray]] = {"int8": _of_int8, "float8": _of_float8}
"""The kernel by the mode of quantization, where it lies open."""
