"""One picture at a time as evaluation shows it to a network, by TensorFlow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_resnet.data.encoded_splits import DamagedImageError
from keras_resnet.data.tensorflow.center_crop import center_crop
from keras_resnet.data.tensorflow.encoded_images import EncodedImage, Image


def viewer(size: int, channels: int, *, whole: bool) -> Callable[[bytes, int], np.ndarray]:
    """A function from the content of a picture's file and its orientation to uint8 [size, size, channels].

    It raises a `DamagedImageError` where the picture cannot be decoded.

    Args:
        size: Side of the square, in pixels.
        channels: 3, or 1: how bright it is.
        whole: Whether it is the largest square in the middle, and not `center_crop`.
    """
    seen = center_square if whole else center_crop

    @tf.function(input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int32)], autograph=False)
    def view(content: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
        image = seen(EncodedImage(content, orientation), size)
        return tf.image.rgb_to_grayscale(image) if channels == 1 else image

    def see(content: bytes, orientation: int) -> np.ndarray:
        try:
            with tf.device("CPU:0"):
                found: np.ndarray = view(content, orientation).numpy()
                return found
        except tf.errors.OpError as error:
            raise DamagedImageError(error.message) from error

    return see


def center_square(photograph: Image, size: int) -> tf.Tensor:
    """The largest square in the middle of a photograph, resized; of one of just that size, every pixel as it is.

    Args:
        photograph: Of any size.
        size: Side of the square, in pixels.

    Returns:
        uint8 [size, size, 3].
    """
    side = tf.reduce_min(photograph.shape)
    corner = (photograph.shape - side) // 2
    square = photograph.part(tf.concat([corner, [side, side]], 0))
    image = tf.image.resize(square, [size, size], method="bilinear", antialias=True)
    return tf.cast(tf.clip_by_value(image, 0.0, 255.0) + 0.5, tf.uint8)  # rounds: there is nothing below 0
