"""Batches by grain: those of tf.data, every image once, from any iteration on, whoever makes them."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from keras_resnet.data.encoded_splits import DamagedImageError
from keras_resnet.data.grain import batches as by_grain
from keras_resnet.data.grain import crop_batches as crops_by_grain
from keras_resnet.data.grain.augmentation import fixed_size
from keras_resnet.data.grain.encoded_images import EncodedImage
from keras_resnet.data.splits import ArraySplit
from keras_resnet.data.tensorflow import batches as by_tf_data
from keras_resnet.data.tensorflow import crop_batches as crops_by_tf_data
from keras_resnet.facts import augmentation as facts
from split_in_memory import Modules, pictures
from tiers import slow

CROP_FLIP = {"fixed-size": ("pad-crop", "flip"), "encoded": ("random-resized-crop", "flip")}
LARGE = (5, 6)
"""The images of which windows may be decoded at a reduced resolution: their pixels are not kept."""
SHAPES = [(150, 130) if k in LARGE else (40 + 5 * (k % 4), 30 + 7 * (k % 3)) for k in range(23)]


@pytest.fixture(scope="module")
def arrays() -> ArraySplit:
    noise = np.random.default_rng(0)
    return ArraySplit(noise.integers(0, 256, (23, 6, 5, 3), np.uint8), np.arange(23) % 7)


@pytest.fixture(scope="module")
def encoded():
    return pictures(SHAPES, size=24)


@pytest.fixture(params=["arrays", "encoded"])
def split(request):
    """The same laws for images in memory and in files."""
    return request.getfixturevalue(request.param)


def taken(batches, count: int) -> list[np.ndarray]:
    """(images, labels) [batches, batch, …] of the first ones."""
    with batches:
        return [np.stack(part) for part in zip(*itertools.islice(batches, count), strict=True)]


def training(split, count: int, **options):
    return taken(
        by_grain.training_batches(split, **{"augmentation": CROP_FLIP[split.kind], "seed": 3, **options}), count
    )


def assert_same(found, expected, gray_levels: int = 0) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        assert np.abs(one.astype(int) - other.astype(int)).max() <= (gray_levels if one.dtype == np.uint8 else 0)


@pytest.mark.parametrize(("hosts", "replicas"), [(1, 1), (2, 3), *slow([(1, 2), (3, 1)])])
def test_training_has_the_batches_of_tf_data(split, hosts, replicas):
    """To the bit: from windows of PNG and JPEG both have the same pixels, and resize them by the same sums."""
    options = {
        "global_batch_size": 4 * hosts * replicas,
        "augmentation": CROP_FLIP[split.kind],
        "padding": 2,
        "seed": 5,
        "first_iteration": 3,
        "replicas": replicas,
        "hosts": hosts,
    }
    for host in range(hosts):
        expected = by_tf_data.training_batches(split, host=host, **options).as_numpy_iterator()
        expected = [np.stack(part) for part in zip(*itertools.islice(expected, 9), strict=True)]
        assert_same(taken(by_grain.training_batches(split, host=host, workers=0, **options), 9), expected)


@pytest.mark.parametrize(("hosts", "replicas"), [(1, 1), (2, 3), *slow([(4, 1), (25, 1)])])
def test_evaluation_has_the_batches_of_tf_data(split, hosts, replicas):
    options = {"batch_size": 3 * hosts * replicas, "replicas": replicas, "hosts": hosts}
    for host in range(hosts):
        expected = by_tf_data.evaluation_batches(split, host=host, **options).as_numpy_iterator()
        expected = [np.stack(part) for part in zip(*expected, strict=True)]
        assert_same(taken(by_grain.evaluation_batches(split, host=host, workers=0, **options), None), expected)


@pytest.mark.parametrize("workers", [2, *slow([1, 3])])
def test_any_iteration_can_be_the_first_whoever_makes_the_batches(encoded, workers):
    images, labels = training(encoded, 10, global_batch_size=40, workers=0)
    for first in (0, 4):
        options = {"global_batch_size": 40, "first_iteration": first, "workers": workers}
        assert_same(training(encoded, 10 - first, **options), (images[first:], labels[first:]))


def test_a_batch_is_made_in_pieces(encoded):
    """So that all workers make the first one."""
    pieces = by_grain._TrainingPieces(
        images=by_grain._Images.of(encoded),
        size=by_grain.PIECE + 1,
        count=by_grain._count(encoded, by_grain.PIECE + 1),
        augmentation=(),
        padding=0,
        function=by_grain.Augment((), encoded.image_size),
        seed=0,
        first=0,
        replicas=1,
        host=0,
        hosts=1,
    )
    assert [len(pieces[number][1]) for number in range(2)] == [16, 17]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_pass_ends_with_black_images(encoded, workers):
    with by_grain.evaluation_batches(encoded, batch_size=70, workers=workers) as batches:
        [(images, labels)] = batches
    np.testing.assert_array_equal(labels, [*encoded.labels, *[-1] * 47])
    assert not images[23:].any() and images[:23].any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("batch_size", [5, 23])
def test_ten_crops_have_the_batches_of_tf_data(encoded, batch_size):
    expected = crops_by_tf_data.ten_crop_batches(encoded, batch_size).as_numpy_iterator()
    expected = [np.stack(part) for part in zip(*expected, strict=True)]
    # The one place where the two roads sum in another order.
    assert_same(taken(crops_by_grain.ten_crop_batches(encoded, batch_size), None), expected, gray_levels=1)


@pytest.mark.parametrize("mirror", [False, True])
def test_several_sizes_have_the_batches_of_tf_data(encoded, mirror):
    options = {"shorter_sides": (24, 40), "mirror": mirror}
    expected = list(crops_by_tf_data.multi_scale_batches(encoded, **options).as_numpy_iterator())
    with crops_by_grain.multi_scale_batches(encoded, **options) as batches:
        found = list(batches)
    assert len(found) == encoded.size
    for (images, labels), (expected_images, expected_labels) in zip(found, expected, strict=True):
        assert_same((*images, labels), (*expected_images, expected_labels), gray_levels=1)


class Sizes:
    """The function of an image that gives its height and width."""

    def __call__(self, image) -> np.ndarray:
        return np.array(image.shape, np.uint8)


def test_any_function_of_the_images_is_mapped(encoded):
    shapes, labels = taken(by_grain.map_images(encoded, Sizes(), batch_size=23), None)
    np.testing.assert_array_equal(shapes[0], SHAPES)
    np.testing.assert_array_equal(labels[0], encoded.labels)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_named(encoded, workers):
    damaged = replace(encoded, files=(*encoded.files[:6], encoded.files[6][:50], *encoded.files[7:]))
    with (
        by_grain.evaluation_batches(damaged, batch_size=23, workers=workers) as batches,
        pytest.raises(DamagedImageError, match=r"^picture 6: damaged"),
    ):
        next(batches)


def test_images_are_read_without_a_framework(encoded):
    with by_grain.map_images(encoded, Modules(), workers=1) as batches, pytest.raises(DamagedImageError) as told:
        next(batches)
    modules = set(str(told.value).split())
    assert {"grain", "numpy", "simplejpeg"} <= modules
    assert modules.isdisjoint({"tensorflow", "keras", "jax", "torch"})


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("cache", ["encoded", "decoded"])
def test_images_in_memory_have_the_same_pixels(encoded, cache, workers):
    expected = training(encoded, 3, global_batch_size=46, workers=0)
    kept = replace(encoded, cache=cache)
    assert_same(training(kept, 3, global_batch_size=46, workers=workers), expected)
    memory = by_grain._Images.of(kept).memory
    pixels = [index for index in range(23) if isinstance(memory.get(index), np.ndarray)]
    assert pixels == ([index for index in range(23) if index not in LARGE] if cache == "decoded" else [])
    # Read once more, none is read again: by another iterator, in this process, from a split without files.
    emptied = by_grain._Images(replace(kept, files=()), memory)
    pixels = emptied.apply(lambda image: image.whole(), 7)
    np.testing.assert_array_equal(pixels, EncodedImage(encoded.files[7]).whole())


@pytest.mark.parametrize(
    ("kind", "cores", "images", "workers", "threads"),
    [
        ("encoded", 16, 50_000, 16, 16),
        ("encoded", 224, 50_000, 64, 224),
        ("encoded", 16, 500, 0, 16),
        ("encoded", 2, 50_000, 0, 2),
        ("arrays", 16, 50_000, 0, 1),
    ],
)
def test_processes_are_started_where_they_pay(request, monkeypatch, kind, cores, images, workers, threads):
    chosen = {}
    monkeypatch.setattr(by_grain.processors, "count", lambda: cores)
    monkeypatch.setattr(by_grain, "Prefetched", lambda pieces, **options: chosen.update(options))
    pieces = type("Pieces", (), {"count": 4})
    by_grain._prefetched(pieces, request.getfixturevalue(kind), images, None)
    assert chosen == {"together": 4, "workers": workers, "threads": threads}


def test_an_augmentation_that_does_not_suit_the_images_is_refused(arrays):
    with pytest.raises(ValueError, match="`augmentation` must be a list of operations for fixed-size images, any of"):
        by_grain.training_batches(arrays, global_batch_size=4, augmentation=("random-resized-crop",), seed=0)


def test_all_operations_on_images_of_one_size_are_there():
    assert set(fixed_size.OPERATIONS) == set(facts.suiting("fixed-size"))
