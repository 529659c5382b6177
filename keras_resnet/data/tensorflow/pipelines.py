"""From a sequence of indices to batches of images, for each kind of split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import Any

import tensorflow as tf

from keras_resnet.data.encoded_splits import EncodedSplit
from keras_resnet.data.splits import PARALLEL_CALLS, ArraySplit, Split
from keras_resnet.data.tensorflow.augmentation import encoded, fixed_size
from keras_resnet.data.tensorflow.encoded_images import Image
from keras_resnet.data.tensorflow.sources import source


@singledispatch
def batches(
    split: Split,
    elements: tf.data.Dataset,
    batch_size: int,
    augmentation: Sequence[str],
    *,
    padding: int,
    drop_remainder: bool,
) -> tf.data.Dataset:
    """Reads, augments and batches images.

    Args:
        split: The images.
        elements: (index int64 [], draws float32 [draws of the augmentation]).
        batch_size: Images in a batch.
        augmentation: Names of operations that suit the images.
        padding: Pixels on each side, for `pad-crop`.
        drop_remainder: Whether a smaller last batch is left out.

    Returns:
        Elements (images uint8 [batch, height, width, channels], labels int32 [batch]).

    Raises:
        TypeError: if there is no way to read that kind of split.
    """
    raise TypeError(f"`split` must be an ArraySplit or an EncodedSplit. Received: {type(split).__name__}")


@batches.register
def _of_array(
    split: ArraySplit,
    elements: tf.data.Dataset,
    batch_size: int,
    augmentation: Sequence[str],
    *,
    padding: int,
    drop_remainder: bool,
) -> tf.data.Dataset:
    """Batches the indices, then gathers and augments a batch at a time."""
    images, labels = tensors(split)

    @tf.autograph.experimental.do_not_convert  # saves most of the time that tracing takes
    def gather(indices: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        augmented = fixed_size.augment(tf.gather(images, indices), draws, augmentation, padding)
        return augmented, tf.gather(labels, indices)

    return elements.batch(batch_size, drop_remainder).map(gather, num_parallel_calls=PARALLEL_CALLS)


@batches.register
def _of_encoded(
    split: EncodedSplit,
    elements: tf.data.Dataset,
    batch_size: int,
    augmentation: Sequence[str],
    *,
    padding: int,
    drop_remainder: bool,
) -> tf.data.Dataset:
    """Reads and augments images one by one in parallel, then batches them."""
    images = source(split)

    @tf.autograph.experimental.do_not_convert
    def square(index: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels = images.map_image(lambda image: encoded.augment(image, draws, augmentation, split.image_size), index)
        return tf.ensure_shape(pixels, split.image_shape), images.labels[index]

    # They stay in order, so a large image holds up the smaller ones after it: the cores need more to do.
    squares = elements.map(square, num_parallel_calls=2 * PARALLEL_CALLS, deterministic=True)
    return squares.batch(batch_size, drop_remainder)


def map_images(split: EncodedSplit, function: Callable[[Image], Any]) -> tf.data.Dataset:
    """One pass over encoded images, in order.

    Args:
        split: The images.
        function: From an image to a tensor, or a tuple of tensors.

    Returns:
        Elements (the function's value, label int32 []).
    """
    images = source(split)
    indices = tf.data.Dataset.range(split.size)

    @tf.autograph.experimental.do_not_convert
    def element(index: tf.Tensor) -> tuple[Any, tf.Tensor]:
        return images.map_image(function, index), images.labels[index]

    return indices.map(element, num_parallel_calls=2 * PARALLEL_CALLS, deterministic=True)


def tensors(split: ArraySplit) -> tuple[tf.Tensor, tf.Tensor]:
    """Images and labels, made once and eagerly: pipelines refer to them, none copies them into its graph."""
    if "tensors" not in split.kept:
        with tf.init_scope(), tf.device("CPU:0"):
            split.kept["tensors"] = tf.constant(split.images), tf.constant(split.labels, tf.int32)
    found: tuple[tf.Tensor, tf.Tensor] = split.kept["tensors"]
    return found
