"""Encoded images that stay in memory once they were read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.config import run
from keras_resnet.data import encoded_splits
from keras_resnet.data.datasets import loading
from keras_resnet.data.tensorflow import sources
from keras_resnet.data.tensorflow.batches import evaluation_batches, training_batches
from keras_resnet.data.tensorflow.encoded_images import decode
from tiers import slow


def first(data, count: int) -> list[np.ndarray]:
    batches = training_batches(data.train, global_batch_size=4, augmentation=("random-resized-crop", "flip"), seed=1)
    return [part for batch in batches.take(count).as_numpy_iterator() for part in batch]


CACHES = get_args(run.Cache)


@pytest.mark.parametrize("cache", CACHES)
def test_the_images_are_the_same(pictures, cache):
    plain = loading.load("folder", pictures, image_size=16)
    cached = loading.load("folder", pictures, image_size=16, cache=cache)
    for one, other in zip(first(plain, 9), first(cached, 9), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("cache", [*CACHES[:1], *slow(CACHES[1:])])
def test_every_file_is_read_once(pictures, cache):
    """After one epoch the files may go; a pipeline made anew, as after a resume in this process, remembers them."""
    data = loading.load("folder", pictures, image_size=16, cache=cache)
    images = first(data, 3)
    for path in data.train.paths:
        Path(path).unlink()
    for one, other in zip(first(data, 3), images, strict=True):
        np.testing.assert_array_equal(one, other)
    list(evaluation_batches(data.validation, batch_size=2))  # has a memory of its own


def test_what_is_decoded_is_kept_decoded_unless_it_is_large(tmp_path):
    """Of an image that is not small against the square, windows may be decoded at a reduced resolution."""
    for name, side in {"small": 31, "large": 32}.items():
        (tmp_path / "cat").mkdir(exist_ok=True)
        image = np.random.default_rng(side).integers(0, 256, (side, 50, 3), np.uint8)
        (tmp_path / "cat" / f"{name}.jpg").write_bytes(tf.io.encode_jpeg(image).numpy())
    split = replace(loading.folder.load(tmp_path, 16)[0], cache="decoded")
    for index, path in enumerate(split.paths):
        kept = sources.source(split).fetch(tf.constant(index, tf.int64)).numpy()
        content = Path(path).read_bytes()
        if "large" in path:
            assert kept == content
        else:
            np.testing.assert_array_equal(tf.io.parse_tensor(kept, tf.uint8), decode(content))


def test_more_than_the_memory_is_refused(pictures, monkeypatch):
    monkeypatch.setattr(loading, "CACHED_SHARE", 1e-9)
    with pytest.raises(ValueError, match="`cache` must be None for images of .* Received: cache='encoded'"):
        loading.load("folder", pictures, image_size=16, cache="encoded")
    with pytest.raises(ValueError, match="`cache` must be None or 'encoded' for images of .* cache='decoded'"):
        loading.load("folder", pictures, image_size=16, cache="decoded")


def test_a_damaged_image_is_named(pictures):
    path = pictures / "train" / "cat" / "0.jpg"
    path.write_bytes(b"\xff\xd8\xff" + bytes(100) + b"\xff\xd9")
    with pytest.raises(ValueError, match=rf"1 of 17 images cannot be used.*\n  {path}: damaged"):
        loading.load("folder", pictures, image_size=16, cache="decoded")


def test_the_memory_that_pixels_will_take_is_known_from_a_sample(pictures, monkeypatch):
    split = replace(loading.folder.load(pictures, 16)[0], cache="decoded")
    pixels = [decode(tf.io.read_file(path)).numpy().size for path in split.paths]
    assert split.cached_bytes() == pytest.approx(sum(pixels), rel=0.01)
    monkeypatch.setattr(encoded_splits, "SAMPLE", 6)
    assert split.cached_bytes() == pytest.approx(sum(pixels), rel=0.3)


def test_images_in_memory_need_no_cache():
    with pytest.raises(ValueError, match="`cache` must be None: these images are in memory in any case"):
        loading.load("digits", cache="encoded")


@pytest.mark.slow
@pytest.mark.parametrize("cache", CACHES)
def test_records_are_cached_as_well(shared_data, cache):
    data = loading.load("imagenet", shared_data / "tfds", image_size=200, cache=cache)
    assert data.train.encoded_bytes() > 200 * 50_000
    batches = training_batches(
        data.train, global_batch_size=8, augmentation=("random-scale-crop", "flip", "color-noise"), seed=0
    )
    plain = loading.load("imagenet", shared_data / "tfds", image_size=200)
    others = training_batches(
        plain.train, global_batch_size=8, augmentation=("random-scale-crop", "flip", "color-noise"), seed=0
    )
    for one, other in zip(batches.take(30).as_numpy_iterator(), others.take(30).as_numpy_iterator(), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
