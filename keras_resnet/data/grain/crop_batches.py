"""The images of the paper's tests in batches: ten crops of each, and whole images at several sizes.

The images are those of `data.tensorflow.test_crops`, in the same order and in the same batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_resnet.data.encoded_splits import EncodedSplit
from keras_resnet.data.grain import test_crops
from keras_resnet.data.grain.batches import map_images
from keras_resnet.data.grain.encoded_images import Image
from keras_resnet.data.grain.prefetching import Prefetched


def ten_crop_batches(split: EncodedSplit, batch_size: int, *, workers: int | None = None) -> Prefetched:
    """One pass over a split, in its order: ten crops of every image, each image exactly once.

    Args:
        split: The images.
        batch_size: Images in a batch.
        workers: As in `data.grain.batches`.

    Returns:
        Iterator, to be closed, of (crops uint8 [batch, 10, size, size, 3], labels int32 [batch]). The last batch is
        filled up with black images whose label is -1.
    """
    return map_images(split, TenCrops(split.image_size), batch_size=batch_size, workers=workers)


def multi_scale_batches(
    split: EncodedSplit, shorter_sides: Sequence[int], *, mirror: bool = False, workers: int | None = None
) -> Prefetched:
    """One pass over a split, in its order: every image whole, at several sizes.

    Args:
        split: The images.
        shorter_sides: In pixels.
        mirror: Whether the mirror image comes with each.
        workers: As in `data.grain.batches`.

    Returns:
        Iterator, to be closed, of (images, labels int32 [1]): one image at a time, as they have different shapes, as a
        tuple with one uint8 [1, crops, height, width, 3] for each shorter side; `crops` is 2 with mirror images,
        otherwise 1.
    """
    return map_images(split, Scales(tuple(shorter_sides), mirror), workers=workers)


@dataclass(frozen=True)
class TenCrops:
    """The function of an image that gives uint8 [10, size, size, 3]."""

    size: int

    def __call__(self, image: Image) -> np.ndarray:
        return test_crops.ten_crops(image, self.size)


@dataclass(frozen=True)
class Scales:
    """The function of an image that gives uint8 [crops, height, width, 3] for each shorter side."""

    shorter_sides: tuple[int, ...]
    mirror: bool

    def __call__(self, image: Image) -> tuple[np.ndarray, ...]:
        pixels = test_crops.whole(image)
        each = [test_crops.resized(pixels, side)[None] for side in self.shorter_sides]
        return tuple(test_crops.with_mirror_images(one) if self.mirror else one for one in each)
