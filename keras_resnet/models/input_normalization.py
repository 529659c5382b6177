"""Normalization of the images, which a trained network has in front: (image - mean) / deviation of each channel.

Mean and deviation are arrays of [height, width, channels], or of [1, 1, channels] where all pixels have the same.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

NAME = "normalization"
"""Name of the layer."""


def layer(mean: np.ndarray, deviation: np.ndarray) -> keras.layers.Normalization:
    """The layer, in float32: a mean image in bfloat16 would be off by half a gray level.

    Args:
        mean: float32 [height, width, channels] or [1, 1, channels].
        deviation: float32 [1, 1, channels], or of the shape of `mean`.
    """
    return _of_variance(mean, np.broadcast_to(deviation, mean.shape) ** 2)


def find(network: keras.Model) -> keras.layers.Normalization | None:
    """The layer in a network; None if it has none."""
    return next((each for each in network.layers if isinstance(each, keras.layers.Normalization)), None)


def mean_and_deviation(layer: keras.layers.Normalization) -> tuple[np.ndarray, np.ndarray]:
    """The arrays of a layer, float64 [height, width, channels] or [1, 1, channels]."""
    mean, variance = _mean_and_variance(layer)
    return mean.astype("float64"), np.maximum(np.sqrt(variance.astype("float64")), keras.config.epsilon())


def is_per_pixel(array: np.ndarray) -> bool:
    """Whether each pixel has a mean or a deviation of its own."""
    return array.shape[:2] != (1, 1)


def for_any_size(layer: keras.layers.Normalization) -> keras.layers.Normalization:
    """The layer with the mean of the pixels in place of a mean image, which has one size."""
    return _of_variance(*(array.mean((0, 1), keepdims=True) for array in _mean_and_variance(layer)))


def described(network: keras.Model) -> dict[str, Any]:
    """The normalization of a network, fit for JSON.

    Returns:
        mean, deviation: Of each channel, in gray levels of 0 to 255; of a mean image, its average.
        per_pixel: Whether every pixel has a mean of its own.
    """
    mean, deviation = mean_and_deviation(network.get_layer(NAME))
    return {
        "mean": mean.mean((0, 1)).tolist(),
        "deviation": deviation.mean((0, 1)).tolist(),
        "per_pixel": is_per_pixel(mean),
    }


def _of_variance(mean: np.ndarray, variance: np.ndarray) -> keras.layers.Normalization:
    axis: int | tuple[int, ...] = -1
    if is_per_pixel(mean):
        axis = (1, 2, 3)
    else:
        mean, variance = mean[0, 0], variance[0, 0]
    return keras.layers.Normalization(axis, mean=mean, variance=variance, dtype="float32", name=NAME)


def _mean_and_variance(layer: keras.layers.Normalization) -> tuple[np.ndarray, np.ndarray]:
    """float32 [height, width, channels] or [1, 1, channels]."""
    mean, variance = (keras.ops.convert_to_numpy(value)[0] for value in (layer.mean, layer.variance))
    return mean, variance
