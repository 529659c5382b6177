"""The images of the paper's tests, in NumPy: ten crops of each, and whole images at several sizes."""

from __future__ import annotations

import numpy as np

from keras_resnet.data.grain import resizing
from keras_resnet.data.grain.center_crop import rounded
from keras_resnet.data.grain.encoded_images import Image
from keras_resnet.facts.center_crop import RESIZE


def ten_crops(image: Image, size: int) -> np.ndarray:
    """The four corners and the center of an image whose shorter side is resized, and their mirror images.

    The shorter side becomes 256/224 of the crops', so that number 4 is `data.grain.center_crop`.

    Args:
        image: Of any size.
        size: Side of the crops, in pixels.

    Returns:
        uint8 [10, size, size, 3], in the order of `facts.ten_crops.POSITIONS`.

    Reference:
        He et al., 2015, Section 3.4; Krizhevsky et al., 2012, Section 4.1.
    """
    pixels = resized(whole(image), round(size * RESIZE))
    bottom, right = (extent - size for extent in pixels.shape[:2])
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    return with_mirror_images(np.stack([pixels[top : top + size, left : left + size] for top, left in corners]))


def with_mirror_images(images: np.ndarray) -> np.ndarray:
    """[2 * images, height, width, channels]: the images, then their mirror images."""
    return np.concatenate([images, images[:, :, ::-1]])


def whole(image: Image) -> np.ndarray:
    """uint8 [height, width, 3]: all pixels of an image."""
    return image.whole()


def resized(pixels: np.ndarray, shorter_side: int) -> np.ndarray:
    """The pixels of an image at another size, resized as in `data.grain.center_crop`.

    They differ by one gray level at most from those of `data.tensorflow.test_crops`, whose sums are in another order.

    Args:
        pixels: uint8 [height, width, 3].
        shorter_side: In pixels.

    Returns:
        uint8 [height, width, 3].
    """
    shape = np.array(pixels.shape[:2], np.float32)
    extent = np.rint(shape * (shorter_side / shape.min()))
    height, width = map(int, extent)
    return rounded(resizing.antialiased(pixels, (height, width), tuple(extent / shape)))
