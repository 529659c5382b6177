"""Random windows are those of tf.data, to the pixel."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.grain.augmentation import crops
from keras_resnet.data.tensorflow.augmentation import crops as of_tensorflow

LAST = 1 - 2.0**-23
"""The largest draw."""


@pytest.mark.parametrize(("name", "count"), [("random_scale_crop", 3), ("random_resized_crop", 4)])
def test_windows_are_those_of_tensorflow(name, count, noise):
    """Small images and large ones; draws at random, and the smallest and the largest."""
    draws = noise.integers(0, 2**23, (20_000, count)) * 2.0**-23
    draws[:100] = noise.choice([0.0, 0.5, LAST], (100, count))
    draws = draws.astype(np.float32)
    shapes = np.exp(noise.uniform(0, np.log(5000), (len(draws), 2))).astype(np.int32)
    window = getattr(of_tensorflow, name)
    expected = tf.function(
        lambda shapes, draws: tf.map_fn(
            lambda one: window(*one), (shapes, draws), fn_output_signature=tf.int32, parallel_iterations=1
        )
    )(shapes, draws)
    found = [getattr(crops, name)(tuple(shape), draw) for shape, draw in zip(shapes.tolist(), draws, strict=True)]
    assert all(type(number) is int for number in found[0])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(20, 90), (90, 20), (32, 32), (40, 77), (31, 33), (1, 1)])
def test_a_window_becomes_the_square_of_tensorflow(shape, noise):
    """Whether it shrinks or grows, or one side does this and the other that."""
    pixels = noise.integers(0, 256, (*shape, 3), np.uint8)
    found = crops.resized(pixels, 32)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, of_tensorflow.resized(pixels, 32), atol=1e-4, rtol=0)
