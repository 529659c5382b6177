"""Photographs that stay in memory once they were read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from keras_resnet.data import loading
from keras_resnet.data.batches import evaluation_batches, training_batches


def first(data, count: int) -> list[np.ndarray]:
    batches = training_batches(data.train, global_batch_size=4, augmentation="crop-flip", seed=1)
    return [part for batch in batches.take(count).as_numpy_iterator() for part in batch]


def test_the_images_are_the_same(pictures):
    plain = loading.load("folder", pictures, image_size=16)
    cached = loading.load("folder", pictures, image_size=16, cache=True)
    for one, other in zip(first(plain, 9), first(cached, 9), strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_file_is_read_once(pictures):
    """After one epoch the files may go; a pipeline made anew, as after a resume in this process, remembers them."""
    data = loading.load("folder", pictures, image_size=16, cache=True)
    seen = first(data, 3)
    for path in data.train.paths:
        Path(path).unlink()
    for one, other in zip(first(data, 3), seen, strict=True):
        np.testing.assert_array_equal(one, other)
    list(evaluation_batches(data.validation, batch_size=2))  # has a memory of its own


def test_more_than_the_memory_is_refused(pictures, monkeypatch):
    monkeypatch.setattr(loading, "CACHED_SHARE", 1e-9)
    with pytest.raises(ValueError, match="`cache` must be False for images of .* GB"):
        loading.load("folder", pictures, image_size=16, cache=True)


def test_images_in_memory_need_no_cache():
    with pytest.raises(ValueError, match="`cache` must be False: these images are in memory in any case"):
        loading.load("digits", cache=True)


def test_records_are_cached_as_well(shared_data):
    data = loading.load("imagenet", shared_data / "tfds", image_size=32, cache=True)
    assert data.train.encoded_bytes() > 200 * 50_000
    batches = training_batches(data.train, global_batch_size=8, augmentation="scale-flip-colour", seed=0)
    plain = loading.load("imagenet", shared_data / "tfds", image_size=32)
    others = training_batches(plain.train, global_batch_size=8, augmentation="scale-flip-colour", seed=0)
    for one, other in zip(batches.take(30).as_numpy_iterator(), others.take(30).as_numpy_iterator(), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
