"""The order of the images and the numbers of their augmentation as tf.data draws them: those of `data.order`."""

from __future__ import annotations

import tensorflow as tf

from keras_resnet.data.order import DRAWS, ORDER


def permutation(size: int, *, seed: int, epoch: int | tf.Tensor) -> tf.Tensor:
    """The order in which an epoch visits the images.

    Args:
        size: Number of images.
        seed: Any integer.
        epoch: Zero-based; an integer or a scalar tensor.

    Returns:
        int64 [size]: every index in [0, size) once.
    """
    indices = tf.range(tf.cast(size, tf.int64))
    return tf.random.experimental.stateless_shuffle(indices, seed=_key(seed, epoch, ORDER), alg="philox")


def uniform_draws(size: int, count: int, *, seed: int, epoch: int | tf.Tensor) -> tf.Tensor:
    """The random numbers that augment the images in an epoch.

    Args:
        size: Number of images.
        count: Numbers for each image.
        seed: Any integer.
        epoch: Zero-based; an integer or a scalar tensor.

    Returns:
        float32 [size, count], uniform in [0, 1). Row i belongs to image i, whenever the epoch visits it.
    """
    return tf.random.stateless_uniform([size, count], seed=_key(seed, epoch, DRAWS), alg="philox")


def _key(seed: int, epoch: int | tf.Tensor, stream: int) -> tf.Tensor:
    key = tf.stack([tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)])
    return tf.random.fold_in(key, tf.constant(stream, tf.int64), alg="philox")


def stream(size: int, count: int, *, seed: int, first_position: int = 0) -> tf.data.Dataset:
    """The endless sequence of images, epoch after epoch.

    Args:
        size: Number of images.
        count: Uniform numbers for each image.
        seed: Any integer.
        first_position: Images to pass over. Whole epochs cost nothing; within an epoch only numbers are skipped.

    Returns:
        Elements (index int64 [], draws float32 [count]).
    """
    first_epoch, skipped = divmod(first_position, size)

    @tf.autograph.experimental.do_not_convert
    def visit(epoch: tf.Tensor) -> tf.data.Dataset:
        order = permutation(size, seed=seed, epoch=epoch)
        draws = tf.gather(uniform_draws(size, count, seed=seed, epoch=epoch), order)
        return tf.data.Dataset.from_tensor_slices((order, draws))

    return tf.data.Dataset.range(first_epoch, tf.int64.max).flat_map(visit).skip(skipped)
