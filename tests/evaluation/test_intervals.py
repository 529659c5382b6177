"""Confidence intervals against published values and against their definition."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from keras_resnet.evaluation.intervals import wilson


@pytest.mark.parametrize(
    ("wrong", "images", "low", "high"),
    [(0, 10, 0.0, 27.75), (1, 10, 1.79, 40.42), (5, 10, 23.66, 76.34), (10, 10, 72.25, 100.0), (0, 1, 0.0, 79.35)],
)
def test_known_intervals(wrong, images, low, high):
    assert wilson(wrong, images) == pytest.approx((low, high), abs=0.005)


@pytest.mark.parametrize(("wrong", "images"), [(3, 7), (11_425, 50_000), (643, 10_000), (49_999, 50_000)])
def test_scipy_says_the_same(wrong, images):
    interval = binomtest(wrong, images).proportion_ci(method="wilson")
    assert wilson(wrong, images) == pytest.approx((100 * interval.low, 100 * interval.high))
