"""Augmentation of images of one size, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from keras_resnet.facts.augmentation import with_columns


def pad_crop(images: tf.Tensor, draws: tf.Tensor, padding: int) -> tf.Tensor:
    """Pads with zeros and crops back to the size, at a random position.

    Args:
        images: uint8 [batch, height, width, channels].
        draws: float32 [batch, 2], uniform in [0, 1): the vertical and the horizontal position.
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
    top, left = tf.unstack(tf.cast(draws * (2.0 * padding + 1.0), tf.int32), axis=1)
    rows = (top[:, None] + tf.range(height)) * padded_width
    columns = left[:, None] + tf.range(width)
    pixels = tf.reshape(padded, [-1, (height + 2 * padding) * padded_width, channels])
    return tf.gather(pixels, rows[:, :, None] + columns[:, None, :], batch_dims=1)


def flip(images: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Mirrors left to right where the draw is below one half.

    Args:
        images: [batch, height, width, channels].
        draws: float32 [batch], uniform in [0, 1).
    """
    columns = tf.range(images.shape[-2])
    columns = tf.where(draws[:, None] < 0.5, columns[::-1], columns)
    return tf.gather(images, columns, axis=-2, batch_dims=1)


OPERATIONS: dict[str, Callable[[tf.Tensor, tf.Tensor, int], tf.Tensor]] = {
    "pad-crop": pad_crop,
    "flip": lambda images, draws, _padding: flip(images, draws[:, 0]),
}
"""From images, random numbers and a padding to such images."""


def augment(images: tf.Tensor, draws: tf.Tensor, augmentation: Sequence[str], padding: int) -> tf.Tensor:
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
