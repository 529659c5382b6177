"""scikit-learn's digits."""

from __future__ import annotations

import numpy as np
import pytest

from keras_resnet.data.datasets import loading
from keras_resnet.facts.datasets import DATASETS

sklearn_datasets = pytest.importorskip("sklearn.datasets")


def test_splits():
    digits, facts = loading.load("digits"), DATASETS["digits"]
    assert (digits.train.size, digits.validation.size, digits.test) == (facts.train, facts.test, None)
    assert digits.image_shape == digits.validation.image_shape == facts.image_shape
    assert digits.class_names == facts.class_names


def test_every_fifth_image_is_a_test_image_and_none_is_lost():
    original, digits = sklearn_datasets.load_digits(), loading.load("digits")
    np.testing.assert_array_equal(digits.validation.labels, original.target[::5])
    np.testing.assert_array_equal(np.rint(digits.validation.images[..., 0] * (16 / 255)), original.images[::5])
    np.testing.assert_array_equal(digits.train.labels[:4], original.target[1:5])
    assert np.bincount(digits.train.labels).min() > 100 and digits.train.images.max() == 255
