"""Random windows of an image of any size, in NumPy, and their resizing to a square.

The windows are those of `data.tensorflow.augmentation.crops`: the same sums in float32, in the same order.
"""

from __future__ import annotations

import math

import numpy as np

from keras_resnet.data.grain import resizing
from keras_resnet.data.grain.encoded_images import Window
from keras_resnet.facts.augmentation import AREA, ASPECT_RATIO, SCALES


def random_scale_crop(shape: tuple[int, int], draws: np.ndarray) -> Window:
    """The window of a square crop from an image whose shorter side was resized to a random length.

    Args:
        shape: Height and width of the image.
        draws: float32 [3], uniform in [0, 1): length, vertical position, horizontal position.

    Returns:
        Top, left, height, width.

    Reference:
        He et al., 2015, Section 3.4: shorter side uniform in [256, 480] for crops of 224.
    """
    scale = SCALES[0] + (SCALES[1] - SCALES[0]) * draws[0]
    side = max(int(np.rint(np.float32(min(shape)) / scale)), 1)
    return _placed(shape, (side, side), draws[1:])


def random_resized_crop(shape: tuple[int, int], draws: np.ndarray) -> Window:
    """A window of random area and aspect ratio; one that would stick out is cut to the image.

    Args:
        shape: Height and width of the image.
        draws: float32 [4], uniform in [0, 1): area, aspect ratio, vertical position, horizontal position.

    Returns:
        Top, left, height, width.

    Reference:
        Szegedy et al., 2015, Section 6; `RandomResizedCrop` of torchvision, which draws again instead of cutting.
    """
    area = np.float32(math.prod(shape)) * (AREA[0] + (AREA[1] - AREA[0]) * draws[0])
    narrowest, widest = (np.float32(math.log(np.float32(ratio))) for ratio in ASPECT_RATIO)
    ratio = np.float32(math.exp(narrowest + (widest - narrowest) * draws[1]))
    sides = (int(np.rint(np.sqrt(share))) for share in (area / ratio, area * ratio))
    height, width = (min(max(side, 1), most) for side, most in zip(sides, shape, strict=True))
    return _placed(shape, (height, width), draws[2:])


def _placed(shape: tuple[int, int], extent: tuple[int, int], draws: np.ndarray) -> Window:
    top, left = (int(draws[axis] * np.float32(shape[axis] - extent[axis] + 1)) for axis in (0, 1))
    return top, left, *extent


def resized(pixels: np.ndarray, size: int) -> np.ndarray:
    """The pixels of a window as a square.

    Args:
        pixels: uint8 [height, width, 3].
        size: Side of the square, in pixels.

    Returns:
        float32 [size, size, 3], 0 to 255.
    """
    shrinks = min(pixels.shape[:2]) >= size
    return resizing.area(pixels, size) if shrinks else resizing.bilinear(pixels, size)
