"""The center crop of an image of any size, in NumPy: the test view in a training, of statistics and of predictions."""

from __future__ import annotations

import math

import numpy as np

from keras_resnet.data.grain import resizing
from keras_resnet.data.grain.encoded_images import Image
from keras_resnet.facts.views import RESIZE


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
    shorter = round(size * RESIZE) / np.float32(min(image.shape))
    spans = [_span(length, shorter, size) for length in image.shape]
    (top, height, rows), (left, width, columns) = spans
    return rounded(resizing.resize(image.part((top, left, height, width)), rows, columns))


def _span(length: int, shorter: np.float32, size: int) -> tuple:
    """First pixel, pixels and weights of one axis of the window that a center crop is made of."""
    extent = np.rint(np.float32(length) * shorter)
    scale, corner = extent / np.float32(length), (extent - size) // 2
    # A pixel of the resized image is an average over its neighborhood in the original.
    reach = 1 + max(1 / scale, np.float32(1))
    first = max(math.floor(corner / scale - reach), 0)
    end = min(math.ceil((corner + size) / scale + reach), length)
    weights = resizing.triangle(end - first, size, float(scale), float(np.float32(first) * scale - corner))
    return first, end - first, weights


def rounded(pixels: np.ndarray) -> np.ndarray:
    """uint8 of pixels of 0 to 255, float32."""
    return (np.clip(pixels, 0, 255) + np.float32(0.5)).astype(np.uint8)  # there is nothing below 0
