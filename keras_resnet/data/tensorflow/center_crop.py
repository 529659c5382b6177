"""The center crop of an image of any size: the test view during a training, and of statistics and predictions."""

from __future__ import annotations

import tensorflow as tf

from keras_resnet.data.tensorflow.encoded_images import Image
from keras_resnet.facts.center_crop import RESIZE


def center_crop(image: Image, size: int) -> tf.Tensor:
    """The square in the middle of an image whose shorter side is resized to 256/224 of the square's.

    Only the pixels that count are decoded and resized: the result is that of decoding, resizing and cropping the whole.

    Args:
        image: Of any size.
        size: Side of the square, in pixels.

    Returns:
        uint8 [size, size, 3].

    Reference:
        He et al., 2015, Section 3.4; `PIL.Image.resize`, whose bilinear filter is antialiased in the same way.
    """
    shape = tf.cast(image.shape, tf.float32)
    extent = tf.round(shape * (round(size * RESIZE) / tf.reduce_min(shape)))
    scale, corner = extent / shape, (extent - size) // 2
    # A pixel of the resized image is an average over its neighborhood in the original.
    reach = 1 + tf.maximum(1 / scale, 1.0)
    top_left = tf.cast(tf.maximum(tf.floor(corner / scale - reach), 0), tf.int32)
    bottom_right = tf.cast(tf.minimum(tf.math.ceil((corner + size) / scale + reach), shape), tf.int32)
    pixels = tf.raw_ops.ScaleAndTranslate(
        images=image.part(tf.concat([top_left, bottom_right - top_left], 0))[None],
        size=[size, size],
        scale=scale,
        translation=tf.cast(top_left, tf.float32) * scale - corner,
        kernel_type="triangle",
        antialias=True,
    )[0]
    return tf.cast(tf.clip_by_value(pixels, 0.0, 255.0) + 0.5, tf.uint8)  # rounds: there is nothing below 0
