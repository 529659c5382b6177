"""Resizing with NumPy is TensorFlow's, but for the last digits where a processor multiplies and adds in one step."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.grain import resizing

ROUNDING = 1e-4
"""In gray levels: some units in the last place of float32 at 255. Weights in float64 would differ by 5e-3."""
SIZE = 32


@pytest.mark.parametrize("shape", [(32, 32), (32, 47), (64, 96), (33, 200), (375, 500), (411, 37)])
def test_the_mean_of_an_area_is_tensorflow_s(shape, noise):
    image = noise.integers(0, 256, (*shape, 3), np.uint8)
    found = resizing.area(image, SIZE)
    assert (found.dtype, found.shape) == (np.float32, (SIZE, SIZE, 3))
    np.testing.assert_allclose(found, tf.image.resize(image, [SIZE, SIZE], method="area"), atol=ROUNDING, rtol=0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 20), (31, 31), (16, 500), (300, 7), (13, 29), (64, 32)])
def test_interpolation_is_tensorflow_s(shape, noise):
    image = noise.integers(0, 256, (*shape, 3), np.uint8)
    found = resizing.bilinear(image, SIZE)
    assert (found.dtype, found.shape) == (np.float32, (SIZE, SIZE, 3))
    np.testing.assert_allclose(found, tf.image.resize(image, [SIZE, SIZE], method="bilinear"), atol=ROUNDING, rtol=0)


@pytest.mark.parametrize("shape", [(1, 1), (20, 90), (32, 32), (300, 31), (111, 77)])
@pytest.mark.parametrize("new", [(32, 45), (90, 20)])
def test_the_antialiased_filter_is_tensorflow_s(shape, new, noise):
    image = noise.integers(0, 256, (*shape, 3), np.uint8)
    scales = np.array(new, np.float32) / np.array(shape, np.float32)
    found = resizing.antialiased(image, new, tuple(scales))
    assert (found.dtype, found.shape) == (np.float32, (*new, 3))
    np.testing.assert_allclose(found, tf.image.resize(image, new, antialias=True), atol=ROUNDING, rtol=0)


def test_an_image_may_be_a_window_of_another_or_turned(noise):
    """Whose rows do not follow upon one another in memory."""
    image = noise.integers(0, 256, (90, 100, 3), np.uint8)
    for view in (image[7:60, 11:70], image[::-1, ::-1], image.transpose(1, 0, 2)):
        copy = view.copy()
        np.testing.assert_array_equal(resizing.area(view, SIZE), resizing.area(copy, SIZE))
        np.testing.assert_array_equal(resizing.bilinear(view, 120), resizing.bilinear(copy, 120))
        scales = (np.float32(0.5), np.float32(0.5))
        np.testing.assert_array_equal(
            resizing.antialiased(view, (20, 20), scales), resizing.antialiased(copy, (20, 20), scales)
        )
