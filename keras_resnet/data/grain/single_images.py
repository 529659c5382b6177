"""One picture at a time as evaluation shows it to a network, by NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_resnet.data.encoded_splits import DamagedImageError
from keras_resnet.data.grain import resizing
from keras_resnet.data.grain.center_crop import center_crop, rounded
from keras_resnet.data.grain.encoded_images import EncodedImage, Image

BRIGHTNESS = np.array((0.2989, 0.587, 0.114), np.float32)
"""Share of red, green and blue in the brightness of a pixel, as `tf.image.rgb_to_grayscale` has it."""


def viewer(size: int, channels: int, *, whole: bool) -> Callable[[bytes, int], np.ndarray]:
    """A function from the content of a picture's file and its orientation to uint8 [size, size, channels].

    It raises a `DamagedImageError` where the picture cannot be decoded. The pixels differ by one gray level at most
    from those of `data.tensorflow.single_images`, whose sums are in another order.

    Args:
        size: Side of the square, in pixels.
        channels: 3, or 1: how bright it is.
        whole: Whether it is the largest square in the middle, and not `center_crop`.
    """
    seen = center_square if whole else center_crop

    def see(content: bytes, orientation: int) -> np.ndarray:
        try:
            image = seen(EncodedImage(content, orientation), size)
        except ValueError as error:
            raise DamagedImageError(str(error)) from error
        return brightness(image) if channels == 1 else image

    return see


def center_square(photograph: Image, size: int) -> np.ndarray:
    """The largest square in the middle of a photograph, resized; of one of just that size, every pixel as it is.

    Args:
        photograph: Of any size.
        size: Side of the square, in pixels.

    Returns:
        uint8 [size, size, 3].
    """
    height, width = photograph.shape
    side = min(height, width)
    square = photograph.part(((height - side) // 2, (width - side) // 2, side, side))
    scale = np.float32(size) / np.float32(side)
    return rounded(resizing.antialiased(square, (size, size), (scale, scale)))


def brightness(image: np.ndarray) -> np.ndarray:
    """uint8 [height, width, 1] of uint8 [height, width, 3]."""
    shares = image.astype(np.float32) * np.float32(1 / 255)
    return (shares @ BRIGHTNESS[:, None] * np.float32(255.5)).astype(np.uint8)
