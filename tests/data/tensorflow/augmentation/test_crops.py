"""Random windows: where they lie."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.tensorflow.augmentation.crops import SCALES, random_resized_crop, random_scale_crop

SHAPES = [(1, 1), (7, 300), (300, 7), (64, 48), (500, 375)]
CORNERS = np.array(np.meshgrid(*[[0.0, 0.5, 1 - 2.0**-23]] * 4)).reshape(4, -1).T.astype("float32")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("window", "count"), [(random_scale_crop, 3), (random_resized_crop, 4)])
def test_a_window_lies_in_the_image(shape, window, count):
    windows = tf.function(
        lambda draws: tf.map_fn(lambda one: window(tf.constant(shape), one), draws, fn_output_signature=tf.int32)
    )
    for top, left, height, width in windows(tf.constant(CORNERS[:, :count])).numpy():
        assert top >= 0 and left >= 0 and height >= 1 and width >= 1
        assert top + height <= shape[0] and left + width <= shape[1]


def test_a_scale_is_uniform_between_that_of_256_and_that_of_480():
    """The shorter side becomes 256 … 480 when the window becomes 224."""
    shape = (1000, 2000)
    sides, window = [], tf.function(lambda each: random_scale_crop(tf.constant(shape), each))
    for draw in np.linspace(0, 1, 101, dtype="float32"):
        _, _, height, width = window(tf.constant([draw, 0.5, 0.5])).numpy()
        assert height == width
        sides.append(224 * 1000 / height)
    np.testing.assert_allclose(sides, np.linspace(256, 480, 101), rtol=2e-3)


def test_windows_reach_every_corner():
    for draw, (top, left) in {0.0: (0, 0), 1 - 2.0**-23: (300 - 140, 400 - 140)}.items():
        window = random_scale_crop(tf.constant([300, 400]), tf.constant([1.0, draw, draw])).numpy()
        assert window.tolist() == [top, left, 140, 140]


def test_an_area_is_uniform_and_its_shape_within_the_limits():
    draws = np.random.default_rng(0).uniform(size=(400, 4)).astype("float32")
    window = tf.function(lambda each: random_resized_crop(tf.constant([400, 400]), each))
    windows = np.array([window(tf.constant(each)) for each in draws])
    areas, ratios = windows[:, 2] * windows[:, 3] / 400**2, windows[:, 3] / windows[:, 2]
    free = draws[:, 0] < 0.6  # a larger one may not fit, and is cut
    np.testing.assert_allclose(areas[free], 0.08 + 0.92 * draws[free, 0], rtol=0.02)
    assert ratios.min() > 0.74 and ratios.max() < 1.35
    assert np.corrcoef(np.log(ratios[free]), draws[free, 1])[0, 1] > 0.99


def test_the_limits_are_the_paper_s():
    assert tuple(round(224 * scale) for scale in SCALES) == (256, 480)
