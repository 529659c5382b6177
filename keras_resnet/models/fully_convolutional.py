"""Fully-convolutional networks: images of any size, the classifier at every position."""

from __future__ import annotations

import keras

from keras_resnet.models import input_normalization
from keras_resnet.models.rebuilding import copied, rebuilt
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

    def replace(layer):
        return (input_normalization.for_any_size if layer.name == input_normalization.NAME else copied)(layer)

    free = rebuilt(network, replace, image)
    pool = free.get_layer("avg_pool")
    features = keras.Model(image, pool.input)
    window = features.compute_output_shape((None, size, size, image.shape[-1]))[1:3]
    averages = keras.layers.AveragePooling2D(window, strides=1, dtype=pool.dtype_policy, name="windows")(pool.input)
    return keras.Model(image, free.get_layer("predictions")(averages), name=network.name)
