"""Random changes of colors."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.tensorflow.augmentation.colors import (
    COLOR_VARIANCES,
    PRINCIPAL_COLORS,
    color_jitter,
    color_noise,
)
from pictures import smooth


def test_color_noise_has_the_covariance_of_the_colors():
    draws = np.random.default_rng(0).uniform(size=(4000, 3)).astype("float32")
    gray = tf.fill([1, 1, 3], 128.0)
    colors = tf.function(lambda draws: tf.map_fn(lambda each: color_noise(gray, each), draws))
    noise = (colors(draws)[:, 0, 0].numpy() - 128) / 255
    axes = np.array(PRINCIPAL_COLORS)
    expected = axes @ np.diag((0.1 * np.array(COLOR_VARIANCES)) ** 2) @ axes.T
    np.testing.assert_allclose(np.cov(noise.T), expected, atol=0.05 * expected.max())
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-3)


def test_the_smallest_and_the_largest_draw_give_finite_colors():
    for draw in (0.0, 1 - 2.0**-23):
        assert np.isfinite(color_noise(tf.zeros([1, 1, 3]), tf.fill([3], draw))).all()


def test_jitter_in_the_middle_changes_nothing_and_each_draw_its_own():
    image = tf.constant(smooth(8, 8), tf.float32)
    middle = color_jitter(image, tf.fill([3], 0.5))
    np.testing.assert_allclose(middle, image, atol=1e-3)
    brighter = color_jitter(image, tf.constant([0.75, 0.5, 0.5]))
    np.testing.assert_allclose(brighter, np.clip(image * 1.2, 0, 255), rtol=1e-5, atol=1e-3)
    flatter = color_jitter(image, tf.constant([0.5, 0.0, 0.5])).numpy()
    assert flatter.std() == pytest.approx(0.6 * image.numpy().std(), rel=1e-3)
    grayer = color_jitter(image, tf.constant([0.5, 0.5, 0.0])).numpy()
    assert np.ptp(grayer, axis=-1).mean() == pytest.approx(0.6 * np.ptp(image.numpy(), axis=-1).mean(), rel=1e-3)
