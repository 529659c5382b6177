"""Random windows of an image of any size, and their resizing to a square.

A window is a function of the image's size and of a few uniform numbers, so it is known before anything is decoded.
"""

from __future__ import annotations

import tensorflow as tf

from keras_resnet.facts.augmentation import AREA, ASPECT_RATIO, SCALES


def random_scale_crop(shape: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """The window of a square crop from an image whose shorter side was resized to a random length.

    Args:
        shape: int32 [2], height and width of the image.
        draws: float32 [3], uniform in [0, 1): length, vertical position, horizontal position.

    Returns:
        int32 [4]: top, left, height, width.

    Reference:
        He et al., 2015, Section 3.4: shorter side uniform in [256, 480] for crops of 224.
    """
    scale = SCALES[0] + (SCALES[1] - SCALES[0]) * draws[0]
    side = tf.cast(tf.round(tf.cast(tf.reduce_min(shape), tf.float32) / scale), tf.int32)
    return _placed(shape, tf.maximum([side, side], 1), draws[1:])


def random_resized_crop(shape: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """A window of random area and aspect ratio; one that would stick out is cut to the image.

    Args:
        shape: int32 [2], height and width of the image.
        draws: float32 [4], uniform in [0, 1): area, aspect ratio, vertical position, horizontal position.

    Returns:
        int32 [4]: top, left, height, width.

    Reference:
        Szegedy et al., 2015, Section 6; `RandomResizedCrop` of torchvision, which draws again instead of cutting.
    """
    area = tf.cast(tf.reduce_prod(shape), tf.float32) * (AREA[0] + (AREA[1] - AREA[0]) * draws[0])
    narrowest, widest = (tf.math.log(float(ratio)) for ratio in ASPECT_RATIO)
    ratio = tf.exp(narrowest + (widest - narrowest) * draws[1])
    extent = tf.cast(tf.round(tf.sqrt(tf.stack([area / ratio, area * ratio]))), tf.int32)
    return _placed(shape, tf.clip_by_value(extent, 1, shape), draws[2:])


def _placed(shape: tf.Tensor, extent: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    corner = tf.cast(draws * tf.cast(shape - extent + 1, tf.float32), tf.int32)
    return tf.concat([corner, extent], 0)


def resized(pixels: tf.Tensor, size: int) -> tf.Tensor:
    """The pixels of a window as a square.

    Args:
        pixels: uint8 [height, width, 3].
        size: Side of the square, in pixels.

    Returns:
        float32 [size, size, 3], 0 to 255.

    Differs from the paper:
        An image of ImageNet is not resized before it is cropped: a crop is cut out in whole pixels, and resized.
    """
    # Both take a third of the time of an antialiased `tf.image.resize`, which a window that shrinks would need.
    shrinks = tf.reduce_all(tf.shape(pixels)[:2] >= size)
    square = tf.cond(
        shrinks,
        lambda: tf.image.resize(pixels, [size, size], method="area"),
        lambda: tf.image.resize(pixels, [size, size], method="bilinear"),
    )
    return tf.ensure_shape(square, [size, size, 3])
