"""Batches of several hosts: whatever their number, together they read what one would."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from keras_resnet.data.splits import ArraySplit
from keras_resnet.data.tensorflow.batches import evaluation_batches, training_batches
from tiers import slow

ITERATIONS = 12
HOSTS_AND_REPLICAS = [
    (1, 1),
    (2, 3),
    (4, 1),
    *slow(set(itertools.product((1, 2, 3, 4), (1, 2, 3))) - {(1, 1), (2, 3), (4, 1)}),
]


def numbered(size: int) -> ArraySplit:
    """Images that are full of their index + 1; their labels are another function of it."""
    images = np.repeat(np.arange(1, size + 1, dtype=np.uint8), 12).reshape(size, 2, 2, 3)
    return ArraySplit(images, np.arange(size) % 7)


def training(split: ArraySplit, size: int, first: int = 0, replicas: int = 1, host: int = 0, hosts: int = 1, **options):
    """(images, labels) [iterations, replicas of the host, batch, …] of some iterations."""
    options = {"augmentation": ("pad-crop", "flip"), "padding": 0, "seed": 3, **options}
    where = {"replicas": replicas, "host": host, "hosts": hosts}
    batches = training_batches(split, global_batch_size=size, first_iteration=first, **where, **options)
    parts = zip(*itertools.islice(batches.as_numpy_iterator(), ITERATIONS * replicas), strict=True)
    stacked = [np.stack(part) for part in parts]
    return [part.reshape(ITERATIONS, replicas, *part.shape[1:]) for part in stacked]


def together(split: ArraySplit, size: int, replicas: int, hosts: int, **options):
    """(images, labels) [iterations, global batch, …]: the parts of all hosts, one after the other."""
    read = [training(split, size, replicas=replicas, host=host, hosts=hosts, **options) for host in range(hosts)]
    joined = [np.concatenate(parts, axis=1) for parts in zip(*read, strict=True)]
    return [part.reshape(ITERATIONS, size, *part.shape[3:]) for part in joined]


def indices(images: np.ndarray) -> np.ndarray:
    """Which images they are; -1 for black ones."""
    assert (images == images[..., :1, :1, :1]).all()
    return images[..., 0, 0, 0].astype(int) - 1


@pytest.mark.parametrize(("hosts", "replicas"), HOSTS_AND_REPLICAS)
def test_every_epoch_has_every_image_once_whatever_the_hosts(hosts, replicas):
    size, split, first = 2 * hosts * replicas, numbered(17), 5 * (replicas - 1)
    images, labels = together(split, size, replicas, hosts, first=first)
    read = indices(images).reshape(-1)
    np.testing.assert_array_equal(labels.reshape(-1), read % 7)
    assert (read >= 0).all()
    # The first and the last epoch may have begun earlier and end later.
    begun = -(first * size) % split.size
    epochs = [read[start : start + split.size] for start in range(begun, len(read), split.size)]
    for epoch in [epoch for epoch in epochs if len(epoch) == split.size]:
        assert sorted(epoch) == list(range(split.size))
    for part in (read[:begun], epochs[-1] if epochs else read[:0]):
        assert len(set(part)) == len(part)


@pytest.mark.parametrize(("hosts", "replicas"), [(3, 2), *slow([(2, 1), (4, 1)])])
def test_the_parts_of_the_hosts_are_the_batches_of_one_augmented_alike(hosts, replicas):
    """To the bit, in the order of the hosts and of their replicas."""
    noise = np.random.default_rng(0)
    split = ArraySplit(noise.integers(0, 256, (17, 4, 4, 1), np.uint8), np.arange(17))
    size, options = 2 * hosts * replicas, {"padding": 1, "first": 3}
    images, labels = together(split, size, replicas, hosts, **options)
    alone_images, alone_labels = (part[:, 0] for part in training(split, size, **options))
    np.testing.assert_array_equal(labels, alone_labels)
    np.testing.assert_array_equal(images, alone_images)


def test_training_batches_say_that_they_never_end():
    """Or the hosts would ask each other at each iteration."""
    batches = training_batches(numbered(5), global_batch_size=4, augmentation=(), seed=0, host=1, hosts=2)
    assert batches.cardinality().numpy() == -1


def evaluation(split: ArraySplit, size: int, **where: int):
    """(images, labels) [batches, batch of a replica, …]."""
    parts = zip(*evaluation_batches(split, batch_size=size, **where).as_numpy_iterator(), strict=True)
    return [np.stack(part) for part in parts]


@pytest.mark.parametrize(("hosts", "replicas"), HOSTS_AND_REPLICAS)
@pytest.mark.parametrize("images_in_split", [1, 23, *slow([3])])
def test_evaluation_counts_every_image_once_whatever_the_hosts(hosts, replicas, images_in_split):
    """Also where there are more hosts than images."""
    split, where = numbered(images_in_split), {"replicas": replicas, "hosts": hosts}
    read = [evaluation(split, 2 * hosts * replicas, host=host, **where) for host in range(hosts)]
    [count] = {len(images) for images, _ in read}  # or some hosts would wait for others for ever
    assert count % replicas == 0
    read_indices = np.concatenate([indices(images).reshape(-1) for images, _ in read])
    labels = np.concatenate([labels.reshape(-1) for _, labels in read])
    np.testing.assert_array_equal(read_indices[read_indices >= 0], range(split.size))
    np.testing.assert_array_equal(labels, np.where(read_indices < 0, -1, read_indices % 7))


@pytest.mark.parametrize("replicas", [1, 3])
def test_one_host_evaluates_no_more_batches_than_it_needs(replicas):
    for images_in_split in (1, 11, 12, 13):
        images, _ = evaluation(numbered(images_in_split), 4 * replicas, replicas=replicas)
        assert len(images) == replicas * -(-images_in_split // (4 * replicas))


def test_hosts_share_images_that_are_not_augmented():
    """`Dataset.unbatch` would end the process."""
    split = numbered(12)
    expected = training(split, 4, augmentation=())
    for part, whole in zip(together(split, 4, 1, 2, augmentation=()), expected, strict=True):
        np.testing.assert_array_equal(part, whole.reshape(part.shape))
