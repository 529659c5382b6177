"""From a name to splits."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from keras_resnet.config import recipe
from keras_resnet.data.datasets import loading
from keras_resnet.data.splits import ArraySplit
from keras_resnet.facts.datasets import DATASETS


def test_loaders_facts_and_recipes_name_the_same_data_sets():
    assert set(loading.LOADERS) == set(DATASETS) == set(get_args(recipe.DatasetName))


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
def test_facts_agree_with_themselves(dataset):
    assert dataset.name in DATASETS
    if dataset.class_names is not None:
        assert len(set(dataset.class_names)) == dataset.classes


def test_a_holdout_is_the_end_of_the_training_split():
    whole, data = loading.load("digits"), loading.load("digits", holdout=100)
    assert (data.train.size, data.validation.size, data.test.size) == (1337, 100, 360)
    np.testing.assert_array_equal(np.concatenate([data.train.images, data.validation.images]), whole.train.images)
    np.testing.assert_array_equal(np.append(data.train.labels, data.validation.labels), whole.train.labels)


@pytest.mark.parametrize("label", [-1, 10])
def test_a_label_out_of_range_is_refused(array_split, label):
    labels = array_split.labels.copy()
    labels[3] = label
    wrong = ArraySplit(array_split.images, labels)
    names = tuple("abcdefghij")
    loading.Data(array_split, array_split, None, names)
    for splits in [(wrong, array_split, None), (array_split, array_split, wrong)]:
        with pytest.raises(
            ValueError, match=f"below 10, .* Received: label {label} of image 3 in the (train|test) split"
        ):
            loading.Data(*splits, names)


def test_an_empty_split_is_refused(array_split):
    with pytest.raises(ValueError, match="The validation split must hold at least one image"):
        loading.Data(array_split, array_split.part(0, 0), None, tuple("abcdefghij"))


@pytest.mark.parametrize("holdout", [1437, -1])
def test_a_holdout_must_leave_images(holdout):
    with pytest.raises(ValueError, match=f"`holdout` must be at least 0 and below 1437.* Received: holdout={holdout}"):
        loading.load("digits", holdout=holdout)


def test_an_unknown_name_is_refused():
    with pytest.raises(
        ValueError, match="`name` must be one of digits, cifar10, cifar100, imagenet, folder. Received: name='mnist'"
    ):
        loading.load("mnist")


def test_an_image_size_belongs_to_folders():
    with pytest.raises(ValueError, match="`image_size` must be None: .* Received: image_size=32"):
        loading.load("digits", image_size=32)


@pytest.mark.parametrize("name", ["cifar10", "folder"])
def test_a_distant_directory_is_refused_where_it_cannot_be_read(name):
    with pytest.raises(ValueError, match=f"'{name}' must be in a directory of this machine. Received: gs://bucket"):
        loading.load(name, "gs://bucket")


def test_a_distant_directory_stays_as_it_was_written(monkeypatch):
    """A path would make one slash of two."""
    asked = []
    monkeypatch.setattr(loading.imagenet, "load", lambda directory, *_, **__: asked.append(directory) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        loading.load("imagenet", "gs://bucket/imagenet")
    assert asked == ["gs://bucket/imagenet"]
