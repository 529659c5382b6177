"""A network for photographs of any size, whose classifier looks at every position."""

from __future__ import annotations

import keras

from keras_resnet.models.batch_norm_folding import copied, rebuilt
from keras_resnet.models.residual_network import ResidualNetwork


def fully_convolutional(network: ResidualNetwork, size: int) -> keras.Model:
    """The fully-convolutional form of a network.

    The average over the whole last feature map becomes one over windows as large as the map of an image in training
    (7x7 for 224x224), with a stride of 1, and the classifier is applied to each. An image of the size in training has
    one window, and the network's own logits.

    Args:
        network: From uint8 images [batch, height, width, channels] to logits [batch, classes], with `normalization` in
            front of it.
        size: Side of the images in training, in pixels.

    Returns:
        Model from uint8 images [batch, height, width, channels], of at least `size` pixels along each side, to float32
        logits [batch, rows, columns, classes]. Its weights are copies.

    Reference:
        He et al., 2015, Section 3.4; Simonyan and Zisserman, 2015, Section 3.2.

    Differs from the paper:
        Where a network subtracts a mean image, which has one size, the mean of its pixels is subtracted here. The paper
        does not say what was subtracted at several sizes.
    """
    image = keras.Input((None, None, network.image_shape[-1]), dtype="uint8", name="image")
    free = rebuilt(network, lambda layer: (for_any_size if layer.name == "normalization" else copied)(layer), image)
    pool = free.get_layer("avg_pool")
    features = keras.Model(image, pool.input)
    window = features.compute_output_shape((None, size, size, image.shape[-1]))[1:3]
    averages = keras.layers.AveragePooling2D(window, strides=1, dtype=pool.dtype_policy, name="windows")(pool.input)
    return keras.Model(image, free.get_layer("predictions")(averages), name=network.name)


def for_any_size(layer: keras.layers.Normalization) -> keras.layers.Normalization:
    """The normalization by a mean and a deviation of each channel, averages over the pixels where each has its own."""
    mean, variance = (keras.ops.convert_to_numpy(value).mean((0, 1, 2)) for value in (layer.mean, layer.variance))
    return keras.layers.Normalization(mean=mean, variance=variance, dtype=layer.dtype_policy, name=layer.name)


def normalization(network: keras.Model) -> dict:
    """What a network does to the pixels before its first convolution, fit for JSON.

    Returns:
        mean, deviation: Of each channel, in grey levels of 0 to 255; of a mean image, its average.
        per_pixel: Whether every pixel has a mean of its own.
    """
    layer = network.get_layer("normalization")
    mean, variance = (keras.ops.convert_to_numpy(value) for value in (layer.mean, layer.variance))
    return {
        "mean": mean.mean((0, 1, 2)).tolist(),
        "deviation": (variance.mean((0, 1, 2)) ** 0.5).tolist(),
        "per_pixel": mean.shape[:3] != (1, 1, 1),
    }
