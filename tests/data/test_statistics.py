"""Mean and deviation against numpy's."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from keras_resnet.config import recipe
from keras_resnet.data import statistics
from keras_resnet.data.datasets import folder
from keras_resnet.data.splits import ArraySplit
from keras_resnet.data.statistics import NORMALIZATIONS, mean_and_deviation
from keras_resnet.data.tensorflow.batches import evaluation_batches


def test_the_table_holds_what_a_recipe_can_name():
    assert set(NORMALIZATIONS) == set(get_args(recipe.Normalization))


@pytest.mark.parametrize("size", [1, 99, 100, 250])
def test_arrays(noise, size):
    images = noise.integers(0, 256, (size, 4, 5, 3), np.uint8)
    split = ArraySplit(images, np.zeros(size, np.int64))
    mean, deviation = mean_and_deviation(split, "per-pixel-mean")
    np.testing.assert_allclose(mean, images.mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(deviation, np.ones((1, 1, 3)))
    mean, deviation = mean_and_deviation(split, "per-channel")
    np.testing.assert_allclose(mean, images.mean(axis=(0, 1, 2))[None, None], rtol=1e-6)
    np.testing.assert_allclose(deviation, images.std(axis=(0, 1, 2))[None, None], rtol=1e-6)
    assert mean.dtype == deviation.dtype == np.float32


def test_a_constant_channel_keeps_its_scale():
    split = ArraySplit(np.full((3, 2, 2, 1), 77, np.uint8), np.zeros(3, np.int64))
    mean, deviation = mean_and_deviation(split, "per-channel")
    assert (mean.item(), deviation.item()) == (77, 1)


def test_files_are_sampled_as_center_crops(pictures, monkeypatch):
    monkeypatch.setattr(statistics, "SAMPLE", 5)
    split, _, _ = folder.load(pictures, 16)
    images, _ = next(evaluation_batches(split, batch_size=5).as_numpy_iterator())
    mean, _ = mean_and_deviation(split, "per-pixel-mean")
    np.testing.assert_allclose(mean, images.mean(axis=0), rtol=1e-6)


def test_an_unknown_normalization_is_refused(array_split):
    with pytest.raises(ValueError, match="`kind` must be one of per-pixel-mean, per-channel. Received: kind='std'"):
        mean_and_deviation(array_split, "std")
