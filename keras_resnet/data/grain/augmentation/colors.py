"""Random changes of an image's colors, in NumPy."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from keras_resnet.facts.augmentation import COLOR_NOISE, COLOR_VARIANCES, JITTER, PRINCIPAL_COLORS

GRAY = np.array([0.2989, 0.587, 0.114], np.float32)
"""Shares of red, green and blue in gray, as in `tf.image.rgb_to_grayscale`."""


def color_noise(image: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Adds one random color to all pixels, along the principal components of ImageNet's.

    Args:
        image: float32 [height, width, 3], 0 to 255.
        draws: float32 [3], uniform in [0, 1).

    Returns:
        float32 [height, width, 3], 0 to 255.

    Reference:
        Krizhevsky et al., 2012, Section 4.1.
    """
    # A draw is a multiple of 2**-23: the middle of its interval has a finite quantile.
    middle = np.clip(draws + np.float32(2.0**-24), np.float32(2.0**-24), np.float32(1 - 2.0**-24))
    alphas = COLOR_NOISE * ndtri(middle.astype(np.float64))
    color = 255.0 * np.array(PRINCIPAL_COLORS) @ (alphas * COLOR_VARIANCES)
    # Added to whole rows: adding three numbers to each pixel takes several times as long.
    rows = image.reshape(len(image), -1) + np.tile(color.astype(np.float32), image.shape[1])
    return _clipped(rows.reshape(image.shape))


def color_jitter(image: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Changes brightness, contrast and saturation, in this order, each by a random factor in 1 ± `JITTER`.

    Args:
        image: float32 [height, width, 3], 0 to 255.
        draws: float32 [3], uniform in [0, 1).

    Returns:
        float32 [height, width, 3], 0 to 255.

    Reference:
        fb.resnet.torch, `datasets/transforms.lua`, which changes the order at random.
    """
    brightness, contrast, saturation = 1.0 - JITTER + 2.0 * JITTER * draws
    image = _clipped(image * brightness)
    mean = (image @ GRAY).mean(dtype=np.float64).astype(np.float32)
    image = _stretched(image, mean, contrast)
    return _stretched(image, (image @ GRAY)[:, :, None], saturation)


def _stretched(image: np.ndarray, center: np.ndarray, factor: np.float32) -> np.ndarray:
    """An image moved away from a center, in its place: a new array for each step takes three times as long."""
    image -= center
    image *= factor
    image += center
    return _clipped(image)


def _clipped(image: np.ndarray) -> np.ndarray:
    return np.clip(image, np.float32(0), np.float32(255), out=image)
