"""The images of the paper's tests in batches: ten crops of each, and whole images at several sizes."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from keras_resnet.data.encoded_splits import EncodedSplit
from keras_resnet.data.tensorflow.batches import options
from keras_resnet.data.tensorflow.encoded_images import Image
from keras_resnet.data.tensorflow.pipelines import map_images
from keras_resnet.data.tensorflow.test_crops import resized, ten_crops, whole, with_mirror_images
from keras_resnet.facts.ten_crops import CROPS


def ten_crop_batches(split: EncodedSplit, batch_size: int) -> tf.data.Dataset:
    """One pass over a split, in its order: ten crops of every image, each image exactly once.

    Args:
        split: The images.
        batch_size: Images in a batch.

    Returns:
        Elements (crops uint8 [batch, 10, size, size, 3], labels int32 [batch]). The last batch is filled up with black
        images whose label is -1.
    """
    crops = map_images(split, lambda image: ten_crops(image, split.image_size))
    black = tf.data.Dataset.from_tensors((tf.zeros([CROPS, *split.image_shape], tf.uint8), -1))
    filled = crops.concatenate(black.repeat(-split.size % batch_size))
    return filled.batch(batch_size, drop_remainder=True).prefetch(2).with_options(options())


def multi_scale_batches(split: EncodedSplit, shorter_sides: Sequence[int], *, mirror: bool = False) -> tf.data.Dataset:
    """One pass over a split, in its order: every image whole, at several sizes.

    Args:
        split: The images.
        shorter_sides: In pixels.
        mirror: Whether the mirror image comes with each.

    Returns:
        Elements (images, labels int32 [1]): one image at a time, as they have different shapes, as a tuple with one
        uint8 [1, crops, height, width, 3] for each shorter side; `crops` is 2 with mirror images, otherwise 1.
    """

    def scales(image: Image) -> tuple[tf.Tensor, ...]:
        pixels = whole(image)
        each = [resized(pixels, side)[None] for side in shorter_sides]
        return tuple(with_mirror_images(one) if mirror else one for one in each)

    return map_images(split, scales).batch(1).prefetch(2).with_options(options())
