"""Grad-CAM: the positions of an image that speak for a class."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from keras_resnet import validation
from keras_resnet.models.residual_network import ResidualNetwork


def heat_map(
    network: ResidualNetwork, images: np.ndarray, classes: np.ndarray | None = None, layer: str | None = None
) -> np.ndarray:
    """The localization map of a class, relative to its largest value.

    Args:
        network: From uint8 images to logits.
        images: uint8 [batch, height, width, channels].
        classes: int [batch]. Defaults to the class of the largest logit of each image.
        layer: One of `feature_maps`. Defaults to the last.

    Returns:
        float32 [batch, h, w], 0 to 1, of the size of the feature map; all 0 where nothing speaks for the class.

    Raises:
        ValueError: if there is no such feature map or no such class.

    Reference:
        Selvaraju et al., 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization".
    """
    found = localization_map(network, images, classes, layer)
    largest = found.max(axis=(1, 2), keepdims=True)
    return found / np.where(largest > 0, largest, 1)


def localization_map(
    network: ResidualNetwork, images: np.ndarray, classes: np.ndarray | None = None, layer: str | None = None
) -> np.ndarray:
    """How much each position of a feature map adds to the logit of a class: float32 [batch, h, w], at least 0.

    The channels of the feature map are weighted with the mean gradient of the logit, summed, and rectified.

    Args:
        network: As for `heat_map`, like the other arguments.
        images: As for `heat_map`.
        classes: As for `heat_map`.
        layer: As for `heat_map`.

    Raises:
        ValueError: if there is no such feature map or no such class.

    Reference:
        Selvaraju et al., 2017, Equations 1 and 2.
    """
    layer = _checked(network, layer)
    both = keras.Model(network.input, [network.get_layer(layer).output, network.output])
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        # All feature maps depend on it, also in a network that is frozen.
        tape.watch(network.get_layer("conv1_conv").kernel.value)
        features, logits = both(images, training=False)
        if classes is None:
            classes = tf.argmax(logits, axis=-1).numpy()
        _check_classes(np.asarray(classes), logits.shape)
        chosen = tf.gather(logits, classes, axis=1, batch_dims=1)
    gradient = tape.gradient(chosen, features, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    weights = tf.reduce_mean(tf.cast(gradient, tf.float32), axis=(1, 2), keepdims=True)
    return tf.nn.relu(tf.reduce_sum(weights * tf.cast(features, tf.float32), axis=-1)).numpy()


def feature_maps(network: ResidualNetwork) -> list[str]:
    """The layers of a network that have a feature map, from the first convolution to the last block."""
    names = [layer.name for layer in network.operations if len(layer.output.shape) == 4]
    return names[names.index("conv1_conv") :]


def _checked(network: ResidualNetwork, layer: str | None) -> str:
    """The layer, by default the last feature map.

    Raises:
        ValueError: if there is no such feature map.
    """
    names = feature_maps(network)
    if layer is None:
        return names[-1]
    if layer not in names:
        outputs = [name for name in names if name.endswith("_out")]
        rule = f"a feature map of the network, such as {', '.join(outputs)}"
        validation.refuse("layer", rule, layer, validation.nearest(layer, names))
    return layer


def _check_classes(classes: np.ndarray, shape: tf.TensorShape) -> None:
    if classes.shape != shape[:1] or classes.min() < 0 or classes.max() >= shape[1]:
        raise ValueError(
            f"`classes` must be {shape[0]} numbers, one for each image, of at least 0 and below {shape[1]}. "
            f"Received: classes={classes.tolist()}"
        )
