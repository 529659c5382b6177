"""Augmentation of encoded images of any size, in NumPy: a window becomes a square, whose colors may change.

From the same random numbers, the images of `data.tensorflow.augmentation.encoded`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from keras_resnet.data.grain.augmentation.colors import color_jitter, color_noise
from keras_resnet.data.grain.augmentation.crops import random_resized_crop, random_scale_crop, resized
from keras_resnet.data.grain.center_crop import center_crop
from keras_resnet.data.grain.encoded_images import Image, Window
from keras_resnet.facts.augmentation import with_columns

CROPS: dict[str, Callable[[tuple[int, int], np.ndarray], Window]] = {
    "random-scale-crop": random_scale_crop,
    "random-resized-crop": random_resized_crop,
}
"""From an image's shape and random numbers to a window."""

COLORS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "color-jitter": color_jitter,
    "color-noise": color_noise,
}
"""From pixels of 0 to 255, float32, and random numbers to such pixels."""


def flip(pixels: np.ndarray, draw: np.float32) -> np.ndarray:
    """Mirrors an image, [height, width, channels], left to right where the draw is below one half."""
    return pixels[:, ::-1] if draw < 0.5 else pixels


def augment(image: Image, draws: np.ndarray, augmentation: Sequence[str], size: int) -> np.ndarray:
    """The square that an augmentation makes of an image; without a crop among its operations, of the center crop.

    Args:
        image: Of any size.
        draws: float32 [draws of the augmentation], uniform in [0, 1).
        augmentation: Names of operations.
        size: Side of the square, in pixels.

    Returns:
        uint8 [size, size, 3].
    """
    columns = dict(with_columns(augmentation))
    window = cropped(image, draws, augmentation, size)
    pixels = center_crop(image, size) if window is None else resized(window, size)
    for name in filter(COLORS.get, columns):
        pixels = COLORS[name](pixels.astype(np.float32, copy=False), draws[columns[name]])
    if pixels.dtype != np.uint8:
        pixels = (pixels + np.float32(0.5)).astype(np.uint8)  # rounds: there is nothing below 0
    # Mirroring goes with any change of colors in either order: last, it moves bytes.
    return flip(pixels, draws[columns["flip"]][0]) if "flip" in columns else pixels


def cropped(image: Image, draws: np.ndarray, augmentation: Sequence[str], size: int) -> np.ndarray | None:
    """uint8 [height, width, 3]: the window of an image before it becomes a square; `None` without such an operation."""
    for name, columns in with_columns(augmentation):
        if name in CROPS:
            return image.reduced_part(CROPS[name](image.shape, draws[columns]), size)
    return None
