"""The order of the images, and the random numbers of their augmentation.

An epoch is a permutation of the images, and every image has a row of uniform numbers in it. Both are functions of the
seed and the epoch alone, so the stream can start at any position: no buffer is filled, no image is read, and a resumed
run trains on the images of an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

# Two streams of random numbers, so that the augmentation of an image does not depend on its place in the order.
ORDER, DRAWS = 0, 1


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


def batches(
    size: int, count: int, *, seed: int, batch_size: int, first_iteration: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`stream` in batches of one size from an iteration on, as arrays.

    Yields:
        (indices int64 [batch], draws float32 [batch, count]), without end.
    """
    epoch, skipped = divmod(first_iteration * batch_size, size)
    rest = np.zeros(0, "int64"), np.zeros((0, count), "float32")
    while True:
        while len(rest[0]) < skipped + batch_size:
            order = permutation(size, seed=seed, epoch=epoch).numpy()
            draws = uniform_draws(size, count, seed=seed, epoch=epoch).numpy()
            rest = np.concatenate([rest[0], order]), np.concatenate([rest[1], draws[order]])
            epoch += 1
        yield tuple(part[skipped : skipped + batch_size] for part in rest)
        skipped += batch_size
        if skipped >= size:
            rest, skipped = tuple(part[skipped:] for part in rest), 0
