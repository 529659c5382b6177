"""Augmentation of images of one size, against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.tensorflow.augmentation import fixed_size
from keras_resnet.data.tensorflow.augmentation.fixed_size import augment, flip, pad_crop
from keras_resnet.facts import augmentation as facts
from keras_resnet.training.jax import augmentation as jax_augmentation


def test_there_is_a_function_for_every_operation_on_each_backend():
    assert tuple(fixed_size.OPERATIONS) == tuple(jax_augmentation.OPERATIONS) == facts.suiting("fixed-size")


@pytest.mark.parametrize("padding", [0, 1, 4])
def test_crop_is_slicing(noise, padding):
    images = noise.integers(0, 256, (40, 6, 5, 3), np.uint8)
    draws = noise.random((40, 2), np.float32)
    padded = np.pad(images, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
    offsets = np.floor(draws * (2 * padding + 1)).astype(int)
    expected = [image[y : y + 6, x : x + 5] for image, (y, x) in zip(padded, offsets, strict=True)]
    np.testing.assert_array_equal(pad_crop(tf.constant(images), tf.constant(draws), padding), expected)


def test_crop_reaches_both_ends():
    """A draw of 0 gives the first offset, the largest float32 below 1 the last; the middle is the image itself."""
    image = np.arange(1, 26, dtype=np.uint8).reshape(1, 5, 5, 1)
    first, middle, last = (
        pad_crop(tf.constant(image), tf.fill([1, 2], np.float32(draw)), 2).numpy()[0, ..., 0]
        for draw in (0, 0.5, np.nextafter(np.float32(1), np.float32(0)))
    )
    np.testing.assert_array_equal(first, np.pad(image[0, :3, :3, 0], [(2, 0), (2, 0)]))
    np.testing.assert_array_equal(middle, image[0, ..., 0])
    np.testing.assert_array_equal(last, np.pad(image[0, 2:, 2:, 0], [(0, 2), (0, 2)]))


def test_flip_mirrors_half_of_the_images(noise):
    images = noise.integers(0, 256, (4, 3, 5, 1), np.uint8)
    flipped = flip(tf.constant(images), tf.constant([0.0, 0.5, 0.49, 0.99])).numpy()
    np.testing.assert_array_equal(flipped[[0, 2]], images[[0, 2], :, ::-1])
    np.testing.assert_array_equal(flipped[[1, 3]], images[[1, 3]])


def test_operations_follow_one_another_each_with_its_own_random_numbers(noise):
    images = tf.constant(noise.integers(0, 256, (20, 6, 5, 3), np.uint8))
    draws = tf.constant(noise.random((20, 3), np.float32))
    expected = flip(pad_crop(images, draws[:, :2], 4), draws[:, 2])
    np.testing.assert_array_equal(augment(images, draws, ("pad-crop", "flip"), 4), expected)
    np.testing.assert_array_equal(augment(images, draws[:, :1], ("flip",), 4), flip(images, draws[:, 0]))
    np.testing.assert_array_equal(augment(images, draws[:, :0], (), 4), images)
