"""Grad-CAM: the positions of an image that speak for a class."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_resnet import validation
from keras_resnet.models import compiled
from keras_resnet.models.functional import calling
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
    if classes is None:
        classes = compiled.of_images(network, lambda logits: ops.argmax(logits, axis=-1))(images)
    classes = np.asarray(classes)
    _check_classes(classes, (len(images), network.output_shape[-1]))

    graph = keras.Model(network.input, network.output)  # computes each layer once, whatever the network rematerializes

    def logits_of_classes(added):
        """The sum of the images' logits, and the feature map, to which a value is added in each channel."""
        with _adding(network.get_layer(layer), added) as features:
            logits = graph(ops.convert_to_tensor(images), training=False)
        of_class = ops.take_along_axis(logits, ops.convert_to_tensor(classes[:, None].astype("int32")), axis=1)
        return ops.sum(of_class), features[0]

    nothing = ops.zeros((len(images), 1, 1, network.get_layer(layer).output.shape[-1]), "float32")
    # What is added everywhere in a channel changes the logit by the sum of the gradient over all positions.
    sums, features = (
        ops.convert_to_numpy(ops.cast(found, "float32"))
        for found in GRADIENTS[keras.backend.backend()](logits_of_classes, nothing)
    )
    weights = sums / (features.shape[1] * features.shape[2])
    return np.maximum((weights * features).sum(axis=-1), 0)


@contextlib.contextmanager
def _adding(layer: keras.layers.Layer, added: Any) -> Iterator[list]:
    """While open, the output of a layer has something added, and is noted in the list."""
    noted, call = [], layer.call

    def call_and_add(*arguments, **options):
        output = call(*arguments, **options)
        noted.append(output + ops.cast(ops.broadcast_to(added, ops.shape(output)), output.dtype))
        return noted[-1]

    with calling(layer, call_and_add):
        yield noted


Function = Callable[[Any], tuple[Any, Any]]
"""From a tensor to a number, and another tensor."""


def _tensorflow_gradient(function: Function, at: Any) -> tuple[Any, Any]:
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(at)
        value, more = function(at)
    return tape.gradient(value, at), more


def _jax_gradient(function: Function, at: Any) -> tuple[Any, Any]:
    import jax

    return jax.grad(function, has_aux=True)(at)


def _torch_gradient(function: Function, at: Any) -> tuple[Any, Any]:
    import torch

    with torch.enable_grad():
        value, more = function(at.requires_grad_())
    return torch.autograd.grad(value, at)[0], more.detach()


GRADIENTS: dict[str, Callable[[Function, Any], tuple[Any, Any]]] = {
    "tensorflow": _tensorflow_gradient,
    "jax": _jax_gradient,
    "torch": _torch_gradient,
}
"""Backend -> the gradient of a function at a tensor, and what the function returns beside its value."""


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


def _check_classes(classes: np.ndarray, shape: tuple[int, int]) -> None:
    if classes.shape != shape[:1] or classes.min() < 0 or classes.max() >= shape[1]:
        raise ValueError(
            f"`classes` must be {shape[0]} numbers, one for each image, of at least 0 and below {shape[1]}. "
            f"Received: classes={classes.tolist()}"
        )
