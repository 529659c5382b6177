"""The network that is exported: for inference, in float32, of layers that every exporter knows."""

from __future__ import annotations

import keras
import numpy as np

from keras_resnet.models import input_normalization
from keras_resnet.models.batch_norm_folding import fold_batch_norm
from keras_resnet.models.functional import is_functional
from keras_resnet.models.layers import Rematerialized
from keras_resnet.models.quantized_layers import dequantized
from keras_resnet.models.rebuilding import copied, rebuilt
from keras_resnet.models.residual_network import ResidualNetwork


def in_float32(network: ResidualNetwork, image_size: int | None = None) -> ResidualNetwork:
    """The same network in float32, whatever its precision was, also quantized, and without rematerialized blocks.

    Args:
        network: With the channels last. It stays as it is.
        image_size: Side of its square images in pixels. Defaults to that of the network.

    Raises:
        ValueError: if the network cannot take such images, or if a layer is quantized whose weights cannot be had back.
    """
    network = dequantized(network)
    if network.data_format != "channels_last":
        raise ValueError(
            "`network` must have the channels last, which all runtimes compute on a CPU. Received: "
            f"data_format={network.data_format!r}. Give its weights to a network of data_format='channels_last'"
        )

    def replace(layer):
        if isinstance(layer, Rematerialized):  # a function of its own in the graph, which LiteRT cannot call
            return rebuilt(layer.block, replace, keras.Input((None, None, layer.block.input_shape[-1])))
        return rebuilt(layer, replace) if is_functional(layer) else copied(layer, dtype="float32")

    shape, [image] = _image_shape(network, image_size), network.inputs
    return rebuilt(network, replace, keras.Input(shape, dtype=image.dtype, name=image.name))


def exportable(
    network: ResidualNetwork, *, fold: bool | None = None, preprocessing: bool = True, scores: bool = False
) -> keras.Model:
    """A network of other layers that computes the same.

    Args:
        network: As `in_float32` makes it.
        fold: Whether convolutions do the batch normalization behind them. Defaults to False, and on torch to True, from
            which exporters make several operations of each normalization.
        preprocessing: Whether images are normalized inside. If not, the input is float32 images that are normalized
            already, and has the same name.
        scores: Whether the softmax is taken.

    Returns:
        A network from images [batch, height, width, channels] to logits, or scores, float32 [batch, classes].
    """
    [image] = network.inputs
    if fold is None:
        fold = keras.backend.backend() == "torch"

    def replace(layer):
        if isinstance(layer, keras.layers.Normalization):
            return _rescaling(layer) if preprocessing else None
        return copied(layer)

    start = keras.Input(image.shape[1:], dtype=image.dtype if preprocessing else "float32", name=image.name)
    network = rebuilt(fold_batch_norm(network) if fold else network, replace, start)
    if not scores:
        return network
    return keras.Model(network.input, keras.layers.Softmax(dtype="float32", name="scores")(network.output))


def normalization(network: keras.Model) -> tuple[np.ndarray, np.ndarray] | None:
    """Mean and deviation by which a network normalizes images; None if it does not.

    Returns:
        Both float64 [channels], or of the shape of an image.
    """
    layer = input_normalization.find(network)
    if layer is None:
        return None
    mean, deviation = input_normalization.mean_and_deviation(layer)
    return (mean, deviation) if input_normalization.is_per_pixel(mean) else (mean[0, 0], deviation[0, 0])


def _rescaling(layer: keras.layers.Normalization) -> keras.layers.Layer:
    """The same by constants: exported to ONNX, Keras's layer makes inputs of its mean and variance."""
    mean, deviation = input_normalization.mean_and_deviation(layer)
    return keras.layers.Rescaling(
        (1 / deviation).tolist(), (-mean / deviation).tolist(), dtype="float32", name=layer.name
    )


def _image_shape(network: ResidualNetwork, image_size: int | None) -> tuple[int, int, int]:
    *size, channels = network.image_shape
    if image_size is None and None in size:
        raise ValueError("`image_size` must be given for a network that takes images of any size")
    if image_size is None or [image_size, image_size] == size:
        return (*size, channels)
    smallest, layer = network.spec.architecture.strides, input_normalization.find(network)
    if image_size < smallest:
        raise ValueError(f"`image_size` must be at least {smallest} in this network. Received: image_size={image_size}")
    if layer and input_normalization.is_per_pixel(input_normalization.mean_and_deviation(layer)[0]):
        raise ValueError(
            f"`image_size` must be {size[0]} in this network, whose normalization subtracts an image of that size. "
            f"Received: image_size={image_size}"
        )
    return image_size, image_size, channels
