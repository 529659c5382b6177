"""The center crop of an image of any size, in NumPy: the test view in a training, of statistics and of predictions."""

from __future__ import annotations

import numpy as np

from keras_resnet.data.grain import resizing
from keras_resnet.data.grain.encoded_images import Image
from keras_resnet.facts.center_crop import RESIZE


def center_crop(image: Image, size: int) -> np.ndarray:
    """The square in the middle of an image whose shorter side is resized to 256/224 of the square's.

    Only the pixels that count are resized: the result is that of decoding, resizing and cropping the whole. It differs
    by one gray level at most from that of `data.tensorflow.center_crop`, whose sums are in another order.

    Args:
        image: Of any size.
        size: Side of the square, in pixels.

    Returns:
        uint8 [size, size, 3].

    Reference:
        He et al., 2015, Section 3.4; `PIL.Image.resize`, whose bilinear filter is antialiased in the same way.
    """
    shape = np.array(image.shape, np.float32)
    extent = np.rint(shape * (round(size * RESIZE) / shape.min()))
    scale, corner = extent / shape, (extent - size) // 2
    # A pixel of the resized image is an average over its neighborhood in the original.
    reach = 1 + np.maximum(1 / scale, np.float32(1))
    top_left = np.maximum(np.floor(corner / scale - reach), 0)
    bottom_right = np.minimum(np.ceil((corner + size) / scale + reach), shape)
    top, left, height, width = map(int, (*top_left, *(bottom_right - top_left)))
    window = image.part((top, left, height, width))
    return rounded(resizing.antialiased(window, (size, size), tuple(scale), tuple(top_left * scale - corner)))


def rounded(pixels: np.ndarray) -> np.ndarray:
    """uint8 of pixels of 0 to 255, float32."""
    return (np.clip(pixels, 0, 255) + np.float32(0.5)).astype(np.uint8)  # there is nothing below 0
