"""The crops of the paper's tests: ten of an image, and the whole of it at several sizes."""

from __future__ import annotations

import tensorflow as tf

from keras_resnet.data.tensorflow.encoded_images import Image
from keras_resnet.facts.center_crop import RESIZE
from keras_resnet.facts.ten_crops import CROPS


def ten_crops(image: Image, size: int) -> tf.Tensor:
    """The four corners and the center of an image whose shorter side is resized, and their mirror images.

    The shorter side becomes 256/224 of the crops', so that number 4 is `data.center_crop`.

    Args:
        image: Of any size.
        size: Side of the crops, in pixels.

    Returns:
        uint8 [10, size, size, 3], in the order of `facts.ten_crops.POSITIONS`.

    Reference:
        He et al., 2015, Section 3.4; Krizhevsky et al., 2012, Section 4.1.
    """
    pixels = resized(whole(image), round(size * RESIZE))
    bottom, right = tf.unstack(tf.shape(pixels)[:2] - size)
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    crops = tf.stack([pixels[top : top + size, left : left + size] for top, left in corners])
    return tf.ensure_shape(with_mirror_images(crops), [CROPS, size, size, 3])


def with_mirror_images(images: tf.Tensor) -> tf.Tensor:
    """[2 * images, height, width, channels]: the images, then their mirror images."""
    return tf.concat([images, tf.reverse(images, [2])], 0)


def whole(image: Image) -> tf.Tensor:
    """uint8 [height, width, 3]: all pixels of an image."""
    return image.part(tf.concat([[0, 0], image.shape], 0))


def resized(pixels: tf.Tensor, shorter_side: int) -> tf.Tensor:
    """The pixels of an image at another size, resized as in `data.center_crop`.

    Args:
        pixels: uint8 [height, width, 3].
        shorter_side: In pixels.

    Returns:
        uint8 [height, width, 3].
    """
    shape = tf.cast(tf.shape(pixels)[:2], tf.float32)
    extent = tf.cast(tf.round(shape * (shorter_side / tf.reduce_min(shape))), tf.int32)
    scaled = tf.image.resize(pixels, extent, method="bilinear", antialias=True)
    return tf.cast(tf.clip_by_value(scaled, 0.0, 255.0) + 0.5, tf.uint8)  # rounds: there is nothing below 0
