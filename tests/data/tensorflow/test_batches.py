"""Batches: every image once, of static shape, and from any iteration on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.datasets import folder
from keras_resnet.data.order import uniform_draws
from keras_resnet.data.splits import ArraySplit
from keras_resnet.data.tensorflow.augmentation.fixed_size import augment
from keras_resnet.data.tensorflow.batches import evaluation_batches, training_batches
from tiers import slow


@pytest.fixture(params=["arrays", "files"])
def split(request):
    """The same laws for images in memory and in files."""
    if request.param == "arrays":
        return request.getfixturevalue("array_split")
    return folder.load(request.getfixturevalue("pictures"), 16)[0]


def take(dataset, count):
    images, labels = zip(*itertools.islice(dataset.as_numpy_iterator(), count), strict=True)
    return np.stack(images), np.stack(labels)


CROP_FLIP = {"fixed-size": ("pad-crop", "flip"), "encoded": ("random-resized-crop", "flip")}


@pytest.mark.parametrize("operations", [2, *slow([0, 1])])
def test_a_pipeline_started_late_continues_the_same_batches(split, operations):
    options = {"global_batch_size": 4, "augmentation": CROP_FLIP[split.kind][:operations], "seed": 1}
    images, labels = take(training_batches(split, **options), 10)
    for first in (1, 2, 5):
        late_images, late_labels = take(training_batches(split, first_iteration=first, **options), 10 - first)
        np.testing.assert_array_equal(late_images, images[first:])
        np.testing.assert_array_equal(late_labels, labels[first:])


@pytest.mark.parametrize("batch_size", [3, 25, *slow([1, 4])])
def test_every_epoch_trains_on_every_image_once(array_split, batch_size):
    batches = training_batches(array_split, global_batch_size=batch_size, augmentation=(), seed=0)
    images, labels = (array.reshape(-1, *array.shape[2:]) for array in take(batches, -(-30 // batch_size)))
    for epoch in range(3):
        part = slice(10 * epoch, 10 * epoch + 10)
        assert sorted(labels[part]) == list(range(10))
        np.testing.assert_array_equal(images[part], array_split.images[labels[part]])


@pytest.mark.parametrize("padding", [0, 3])
def test_images_are_cropped_by_their_own_draws(array_split, padding):
    options = {"global_batch_size": 10, "augmentation": ("pad-crop", "flip"), "padding": padding, "seed": 5}
    [images], [labels] = take(training_batches(array_split, first_iteration=2, **options), 1)
    draws = uniform_draws(10, 3, seed=5, epoch=2)
    expected = augment(tf.constant(array_split.images), draws, ("pad-crop", "flip"), padding).numpy()
    np.testing.assert_array_equal(images, expected[labels])


def test_augmentation_does_not_depend_on_the_batch_size(array_split):
    options = {"augmentation": ("pad-crop", "flip"), "padding": 2, "seed": 5}
    small, _ = take(training_batches(array_split, global_batch_size=2, **options), 15)
    large, _ = take(training_batches(array_split, global_batch_size=5, **options), 6)
    np.testing.assert_array_equal(small.reshape(large.shape), large)


def test_epochs_and_seeds_augment_differently(array_split):
    def epochs(seed):
        batches = training_batches(array_split, global_batch_size=10, augmentation=("pad-crop",), seed=seed)
        images, labels = take(batches, 2)
        return [images[k][np.argsort(labels[k])] for k in range(2)]

    first, second = epochs(0)
    other, _ = epochs(1)
    assert (first != second).any() and (first != other).any()


@pytest.mark.parametrize("batch_size", [4, 5, 64, *slow([1, 12])])
def test_evaluation_counts_every_image_once_in_order(split, batch_size):
    images, labels = take(evaluation_batches(split, batch_size=batch_size), -(-split.size // batch_size))
    images, labels = images.reshape(-1, *split.image_shape), labels.reshape(-1)
    np.testing.assert_array_equal(labels[: split.size], split.labels)
    assert (labels[split.size :] == -1).all() and not images[split.size :].any()
    if isinstance(split, ArraySplit):
        np.testing.assert_array_equal(images[: split.size], split.images)


def test_evaluation_ends(split):
    assert len(list(evaluation_batches(split, batch_size=5))) == -(-split.size // 5)


def test_shapes_are_static(split):
    training = training_batches(split, global_batch_size=4, augmentation=CROP_FLIP[split.kind], seed=0)
    for batches in (training, evaluation_batches(split, batch_size=4)):
        images, labels = batches.element_spec
        assert images.shape == (4, *split.image_shape) and images.dtype == "uint8"
        assert labels.shape == (4,) and labels.dtype == "int32"


def test_an_augmentation_that_does_not_suit_the_images_is_refused(array_split):
    with pytest.raises(
        ValueError, match="`augmentation` must be a list of operations for fixed-size images, any of pad"
    ):
        training_batches(array_split, global_batch_size=4, augmentation=("random-resized-crop",), seed=0)


def test_arrays_of_another_kind_are_refused(noise):
    images = noise.integers(0, 256, (10, 6, 5, 3), np.uint8)
    with pytest.raises(ValueError, match="`images` must be uint8 .* Received: float32 of shape"):
        ArraySplit(images.astype(np.float32), np.arange(10))
    for labels, received in [(np.arange(9), r"int64 of shape \[9\]"), (np.zeros(10), r"float64 of shape \[10\]")]:
        with pytest.raises(ValueError, match=r"`labels` must be int64 of shape \[10\].* Received: " + received):
            ArraySplit(images, labels)
