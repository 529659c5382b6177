"""The images of the paper's tests: ten crops of each, and whole images at several sizes."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from keras_resnet.data.encoded_splits import EncodedSplit
from keras_resnet.data.tensorflow.batches import options
from keras_resnet.data.tensorflow.encoded_images import Image
from keras_resnet.data.tensorflow.pipelines import map_images
from keras_resnet.facts.center_crop import RESIZE
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
