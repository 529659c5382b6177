"""The images of a training on the JAX backend are those of one on TensorFlow; of the updates, `test_backends` tells."""

from __future__ import annotations

import importlib.util
import itertools

import numpy as np
import pytest
import tensorflow as tf

pytestmark = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")


@pytest.mark.parametrize("augmentation", [(), ("pad-crop",), ("flip",), ("pad-crop", "flip")], ids=" ".join)
def test_images_are_augmented_alike_to_the_bit(augmentation):
    from keras_resnet.data.tensorflow.augmentation import fixed_size
    from keras_resnet.facts.augmentation import draws
    from keras_resnet.training.jax import augmentation as jax_augmentation

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (32, 6, 7, 3), "uint8")
    numbers = random.random((32, draws(augmentation)), "float32")
    expected = fixed_size.augment(tf.constant(images), tf.constant(numbers), augmentation, 2)
    np.testing.assert_array_equal(jax_augmentation.augment(images, numbers, augmentation, 2), expected)


@pytest.mark.parametrize("first", [0, 1, 7])
def test_batches_are_those_of_the_stream(first):
    from keras_resnet.data import order
    from keras_resnet.data.tensorflow.order import stream as positions

    stream = positions(10, 2, seed=3, first_position=first * 4).batch(4).as_numpy_iterator()
    batches = order.batches(10, 2, seed=3, batch_size=4, first_iteration=first)
    for ours, expected in itertools.islice(zip(batches, stream, strict=True), 12):
        for part, wanted in zip(ours, expected, strict=True):
            np.testing.assert_array_equal(part, wanted)
