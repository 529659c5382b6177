"""Augmentation of images of one size, a batch at a time, in NumPy: to the bit that of `data.tensorflow`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from keras_resnet.facts.augmentation import with_columns


def pad_crop(images: np.ndarray, draws: np.ndarray, padding: int) -> np.ndarray:
    """Pads with zeros and crops back to the size, at a random position.

    Args:
        images: uint8 [batch, height, width, channels].
        draws: float32 [batch, 2], uniform in [0, 1): the vertical and the horizontal position.
        padding: Pixels on each side.

    Returns:
        uint8 [batch, height, width, channels].

    Reference:
        He et al., 2015, Section 4.2.
    """
    _, height, width, _ = images.shape
    padded = np.pad(images, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
    starts = (draws * np.float32(2 * padding + 1)).astype(np.int32).tolist()
    cropped = np.empty_like(images)
    for number, (top, left) in enumerate(starts):
        cropped[number] = padded[number, top : top + height, left : left + width]
    return cropped


def flip(images: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Mirrors left to right where the draw is below one half.

    Args:
        images: [batch, height, width, channels].
        draws: float32 [batch], uniform in [0, 1).
    """
    return np.where(draws[:, None, None, None] < 0.5, images[:, :, ::-1], images)


OPERATIONS: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "pad-crop": pad_crop,
    "flip": lambda images, draws, _padding: flip(images, draws[:, 0]),
}
"""From images, random numbers and a padding to such images."""


def augment(images: np.ndarray, draws: np.ndarray, augmentation: Sequence[str], padding: int) -> np.ndarray:
    """Images after the operations of an augmentation.

    Args:
        images: uint8 [batch, height, width, channels].
        draws: float32 [batch, draws of the augmentation], uniform in [0, 1).
        augmentation: Names of operations.
        padding: Pixels on each side, for `pad-crop`.

    Returns:
        uint8 [batch, height, width, channels].
    """
    for name, columns in with_columns(augmentation):
        images = OPERATIONS[name](images, draws[:, columns], padding)
    return images
