"""Batches of static shape: endless ones for training, a single pass for evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from keras_resnet.data.splits import PARALLEL_CALLS, Split
from keras_resnet.data.tensorflow import pipelines
from keras_resnet.data.tensorflow.order import stream
from keras_resnet.facts.augmentation import check, draws

DAMAGE = (tf.errors.InvalidArgumentError, tf.errors.DataLossError, tf.errors.NotFoundError)
"""The errors of TensorFlow at a damaged or missing file."""


def training_batches(
    split: Split,
    *,
    global_batch_size: int,
    augmentation: Sequence[str],
    padding: int = 4,
    seed: int,
    first_iteration: int = 0,
    replicas: int = 1,
    host: int = 0,
    hosts: int = 1,
) -> tf.data.Dataset:
    """The batches of every iteration from the first one on, without end.

    The order is a function of (seed, epoch, position), the augmentation of (seed, image index, epoch): started at
    iteration k, the batches are, to the bit, those that a pipeline started at 0 gives from iteration k on. A batch may
    hold the end of one epoch and the beginning of the next, so that every epoch visits every image exactly once.

    Every iteration is divided among the hosts, and a host's part among its replicas, in order: a host reads no image of
    another, and what all of them read does not depend on their number.

    Args:
        split: The training images.
        global_batch_size: Images in an iteration, on all replicas of all hosts together.
        augmentation: Names of operations that suit the images, in their order; see `facts.augmentation`.
        padding: Pixels on each side, for `pad-crop`.
        seed: Of the order and of the augmentation.
        first_iteration: Zero-based.
        replicas: Replicas of this host.
        host: Number of this host.
        hosts: How many there are.

    Returns:
        Elements (images uint8 [batch, height, width, channels], labels int32 [batch]), one for each replica of this
        host in turns; `batch` is the replica's share of `global_batch_size`.

    Raises:
        ValueError: if the images cannot have that augmentation.
    """
    check(augmentation, split.kind)
    elements = stream(split.size, draws(augmentation), seed=seed, first_position=first_iteration * global_batch_size)
    if hosts > 1:
        elements = _part(elements, global_batch_size, host, hosts)
    size = global_batch_size // (hosts * replicas)
    batches = pipelines.batches(split, elements, size, augmentation, padding=padding, drop_remainder=True)
    # Said to be endless, so that no host asks the others at each iteration whether they have a batch left.
    endless = batches.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return endless.prefetch(2 * replicas).with_options(options())


def _part(elements: tf.data.Dataset, batch_size: int, host: int, hosts: int) -> tf.data.Dataset:
    """The elements that a host has of every batch."""
    size = batch_size // hosts
    batches = elements.batch(batch_size, drop_remainder=True)
    mine = batches.map(lambda *parts: tuple(part[host * size : (host + 1) * size] for part in parts))
    # `unbatch` would crash where images are not augmented: it cannot divide rows of no numbers.
    return mine.flat_map(lambda *parts: tf.data.Dataset.from_tensor_slices(parts))


def evaluation_batches(
    split: Split, *, batch_size: int, replicas: int = 1, host: int = 0, hosts: int = 1
) -> tf.data.Dataset:
    """One pass over a host's part of a split, in its order, every image exactly once and not augmented.

    Args:
        split: The images.
        batch_size: Images in a batch, on all replicas of all hosts together.
        replicas: Replicas of this host.
        host: Number of this host.
        hosts: How many there are.

    Returns:
        Elements (images uint8 [batch, height, width, channels], labels int32 [batch]), one for each replica of this
        host in turns, and as many on every host; `batch` is the replica's share of `batch_size`. Where there are no
        images left, batches are filled up with black ones whose label is -1.
    """
    size = batch_size // (hosts * replicas)
    most = -(-split.size // hosts)
    count = replicas * -(-most // (size * replicas))

    @tf.autograph.experimental.do_not_convert
    def fill(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        missing = size - tf.shape(labels)[0]
        images = tf.pad(images, [[0, missing], [0, 0], [0, 0], [0, 0]])
        labels = tf.pad(labels, [[0, missing]], constant_values=-1)
        return tf.ensure_shape(images, [size, *split.image_shape]), tf.ensure_shape(labels, [size])

    indices = tf.data.Dataset.range(min(host * most, split.size), min((host + 1) * most, split.size))
    elements = indices.map(lambda index: (index, tf.zeros([0])))
    batches = pipelines.batches(split, elements, size, (), padding=0, drop_remainder=False).map(fill)
    nothing = (tf.zeros([size, *split.image_shape], tf.uint8), tf.fill([size], -1))
    batches = batches.concatenate(tf.data.Dataset.from_tensors(nothing).repeat()).take(count)
    return batches.prefetch(2 * replicas).with_options(options())


def options() -> tf.data.Options:
    """Of every pipeline: its elements in order, threads of its own, and no tuning of its own."""
    chosen = tf.data.Options()
    chosen.deterministic = True
    chosen.autotune.enabled = False
    # What feeds an accelerator then never waits behind a large image. Many images at once keep the cores busy: an
    # operation need not be divided among them.
    chosen.threading.private_threadpool_size = PARALLEL_CALLS
    chosen.threading.max_intra_op_parallelism = 1
    return chosen
