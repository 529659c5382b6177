"""Augmentation of images of one size in NumPy: TensorFlow's images, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from keras_resnet.data.grain.augmentation import fixed_size
from keras_resnet.data.tensorflow.augmentation import fixed_size as by_tensorflow


@pytest.mark.parametrize("augmentation", [(), ("pad-crop",), ("flip",), ("pad-crop", "flip")])
@pytest.mark.parametrize("padding", [0, 4])
def test_images_are_those_of_tensorflow(noise, augmentation, padding):
    images = noise.integers(0, 256, (64, 9, 7, 3), np.uint8)
    draws = noise.random((64, 3), np.float32)
    draws[0], draws[1] = 0, np.nextafter(np.float32(1), np.float32(0))
    before = images.copy()
    augmented = fixed_size.augment(images, draws, augmentation, padding)
    expected = by_tensorflow.augment(images, draws, augmentation, padding)
    np.testing.assert_array_equal(augmented, expected)
    np.testing.assert_array_equal(images, before)
