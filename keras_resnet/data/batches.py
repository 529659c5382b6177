"""Batches of static shape: endless ones for training, a single pass for evaluation."""

from __future__ import annotations

import tensorflow as tf

from keras_resnet.data.order import stream
from keras_resnet.data.splits import Split


def training_batches(
    split: Split,
    *,
    global_batch_size: int,
    augmentation: str,
    padding: int = 4,
    seed: int,
    first_iteration: int = 0,
) -> tf.data.Dataset:
    """The batches of every iteration from the first one on, without end.

    The order is a function of (seed, epoch, position), the augmentation of (seed, image index, epoch): started at
    iteration k, the batches are, to the bit, those that a pipeline started at 0 gives from iteration k on. A batch may
    hold the end of one epoch and the beginning of the next, so that every epoch visits every image exactly once.

    Args:
        split: The training images.
        global_batch_size: Images in an iteration, on all replicas together.
        augmentation: `"none"`, `"crop"` or `"crop-flip"`.
        padding: Pixels on each side before a random crop; photographs are not padded.
        seed: Of the order and of the augmentation.
        first_iteration: Zero-based.

    Returns:
        Elements (images uint8 [global_batch_size, height, width, channels], labels int32 [global_batch_size]).

    Raises:
        ValueError: if `augmentation` is unknown.
    """
    if augmentation not in split.augmentations:
        raise ValueError(
            f"`augmentation` must be one of {', '.join(split.augmentations)}. Received: augmentation={augmentation!r}"
        )
    draws = split.augmentations[augmentation].draws
    elements = stream(split.size, draws, seed=seed, first_position=first_iteration * global_batch_size)
    batches = split.batches(elements, global_batch_size, augmentation, padding=padding, drop_remainder=True)
    return batches.prefetch(2).with_options(_options())


def evaluation_batches(split: Split, *, batch_size: int) -> tf.data.Dataset:
    """One pass over a split, in its order, every image exactly once and not augmented.

    Args:
        split: The images.
        batch_size: Images in a batch, on all replicas together.

    Returns:
        Elements (images uint8 [batch_size, height, width, channels], labels int32 [batch_size]). The last batch is
        filled up with black images whose label is -1.
    """

    def fill(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        missing = batch_size - tf.shape(labels)[0]
        images = tf.pad(images, [[0, missing], [0, 0], [0, 0], [0, 0]])
        labels = tf.pad(labels, [[0, missing]], constant_values=-1)
        return tf.ensure_shape(images, [batch_size, *split.image_shape]), tf.ensure_shape(labels, [batch_size])

    elements = tf.data.Dataset.range(split.size).map(lambda index: (index, tf.zeros([0])))
    batches = split.batches(elements, batch_size, "none", padding=0, drop_remainder=False)
    return batches.map(fill).prefetch(2).with_options(_options())


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    return options
