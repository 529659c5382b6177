"""Random colors are those of tf.data, but for the rounding of sums."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.grain.augmentation.encoded import COLORS
from keras_resnet.data.tensorflow.augmentation.encoded import COLORS as OF_TENSORFLOW

LAST = 1 - 2.0**-23
"""The largest draw."""


@pytest.mark.parametrize("name", COLORS)
def test_colors_differ_from_those_of_tensorflow_by_a_ten_thousandth_of_a_gray_level(name, noise):
    expected = tf.function(OF_TENSORFLOW[name])
    draws = [*np.array([[0, 0, 0], [LAST, LAST, LAST], [0, 0.5, LAST]]), *noise.random((30, 3))]
    for draw in np.array(draws, np.float32):
        image = noise.uniform(0, 255, (40, 50, 3)).astype(np.float32)
        original = image.copy()
        found = COLORS[name](image, draw)
        assert found.dtype == np.float32
        assert found.min() >= 0 and found.max() <= 255
        np.testing.assert_allclose(found, expected(image, draw), atol=1e-4, rtol=0)
        np.testing.assert_array_equal(image, original)
