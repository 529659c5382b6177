"""Views of images: deterministic functions of the pixels and of a few uniform numbers in [0, 1).

Small images of one size are transformed a batch at a time; photographs of any size one by one, to a square.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

RESIZE = 256 / 224
"""Shorter side of a photograph over the side of its center crop (He et al., 2015, Section 3.4)."""
AREA = (0.08, 1.0)
"""Smallest and largest share of a photograph that `random_resized_crop` keeps (Szegedy et al., 2015)."""
ASPECT_RATIO = (3 / 4, 4 / 3)
"""Narrowest and widest crop, width over height (Szegedy et al., 2015)."""


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


def random_resized_crop(image: tf.Tensor, draws: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes a random rectangle of a photograph to a square; one that would stick out is cut to the photograph.

    Args:
        image: uint8 [height, width, channels].
        draws: float32 [4]: area, aspect ratio, vertical position, horizontal position.
        size: Side of the square, in pixels.

    Returns:
        uint8 [size, size, channels].

    Reference: Szegedy et al., 2015, Section 6.
    """
    shape = tf.shape(image)[:2]
    area = tf.cast(tf.reduce_prod(shape), tf.float32) * (AREA[0] + (AREA[1] - AREA[0]) * draws[0])
    narrowest, widest = (tf.math.log(float(ratio)) for ratio in ASPECT_RATIO)
    ratio = tf.exp(narrowest + (widest - narrowest) * draws[1])
    extent = tf.round(tf.sqrt(tf.stack([area / ratio, area * ratio])))
    extent = tf.clip_by_value(tf.cast(extent, tf.int32), 1, shape)
    top, left = tf.unstack(_choose(draws[2:], shape - extent + 1))
    return _resize(image[top : top + extent[0], left : left + extent[1]], [size, size])


def random_resized_crop_flip(image: tf.Tensor, draws: tf.Tensor, size: int) -> tf.Tensor:
    """`random_resized_crop` by the first four draws, then `flip` by the fifth."""
    return flip(random_resized_crop(image, draws[:4], size), draws[4])


def center_crop(image: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes a photograph so that its shorter side is 256/224 of `size`, and crops the square in the middle.

    Args:
        image: uint8 [height, width, channels].
        size: Side of the square, in pixels.

    Returns:
        uint8 [size, size, channels].
    """
    shape = tf.cast(tf.shape(image)[:2], tf.float32)
    extent = tf.cast(tf.round(shape * (round(size * RESIZE) / tf.reduce_min(shape))), tf.int32)
    top, left = tf.unstack((extent - size) // 2)
    return _resize(image, extent)[top : top + size, left : left + size]


def _resize(image: tf.Tensor, extent: tf.Tensor | list[int]) -> tf.Tensor:
    pixels = tf.image.resize(image, extent, antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(pixels, 0, 255)), tf.uint8)


def _choose(draws: tf.Tensor, choices: int | tf.Tensor) -> tf.Tensor:
    """Integers in [0, choices), equally likely."""
    return tf.cast(draws * tf.cast(choices, tf.float32), tf.int32)


@dataclass(frozen=True)
class Augmentation:
    """A row of the tables below: `apply(images, draws, extent)`."""

    draws: int
    """Uniform numbers for each image."""
    apply: Callable[[tf.Tensor, tf.Tensor, int], tf.Tensor]


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Augmentation(0, lambda images, _draws, _padding: images),
    "crop": Augmentation(2, crop),
    "crop-flip": Augmentation(3, crop_flip),
}
"""For batches of images of one size; the extent is the padding."""

PHOTOGRAPH_AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Augmentation(0, lambda image, _draws, size: center_crop(image, size)),
    "crop": Augmentation(4, random_resized_crop),
    "crop-flip": Augmentation(5, random_resized_crop_flip),
}
"""For single photographs; the extent is the side of the square."""
