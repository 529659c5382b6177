"""Augmentations of small images of one size, a batch at a time.

They are functions of the pixels and of a few uniform numbers in [0, 1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf


def crop(images: tf.Tensor, draws: tf.Tensor, padding: int) -> tf.Tensor:
    """Pads with zeros and crops back to the size, at a position that the draws choose.

    Args:
        images: uint8 [batch, height, width, channels].
        draws: float32 [batch, 2], the vertical and the horizontal position.
        padding: Pixels on each side.

    Returns:
        uint8 [batch, height, width, channels].

    Reference:
        He et al., 2015, Section 4.2.

    Differs from the paper:
        The padding before a random crop is black. In the paper's order, after the mean is subtracted, it is the mean.
    """
    _, height, width, channels = images.shape
    padded_width = width + 2 * padding
    padded = tf.pad(images, [[0, 0], [padding, padding], [padding, padding], [0, 0]])
    top, left = tf.unstack(_choose(draws, 2 * padding + 1), axis=1)
    rows = (top[:, None] + tf.range(height)) * padded_width
    columns = left[:, None] + tf.range(width)
    pixels = tf.reshape(padded, [-1, (height + 2 * padding) * padded_width, channels])
    return tf.gather(pixels, rows[:, :, None] + columns[:, None, :], batch_dims=1)


def flip(images: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Mirrors left to right where the draw is below one half.

    Args:
        images: [..., height, width, channels].
        draws: float32 [...].
    """
    columns = tf.range(images.shape[-2])
    columns = tf.where(draws[..., None] < 0.5, columns[::-1], columns)
    return tf.gather(images, columns, axis=-2, batch_dims=draws.shape.rank)


def crop_flip(images: tf.Tensor, draws: tf.Tensor, padding: int) -> tf.Tensor:
    """`crop` by the first two draws, then `flip` by the third."""
    return flip(crop(images, draws[:, :2], padding), draws[:, 2])


def _choose(draws: tf.Tensor, choices: int | tf.Tensor) -> tf.Tensor:
    """Integers in [0, choices), equally likely."""
    return tf.cast(draws * tf.cast(choices, tf.float32), tf.int32)


@dataclass(frozen=True)
class Augmentation:
    """A row of the table below: `apply(images, draws, padding)`."""

    draws: int
    """Uniform numbers for each image."""
    apply: Callable[[tf.Tensor, tf.Tensor, int], tf.Tensor]


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Augmentation(0, lambda images, _draws, _padding: images),
    "crop": Augmentation(2, crop),
    "crop-flip": Augmentation(3, crop_flip),
}
"""The augmentations by the name that a recipe gives them."""
