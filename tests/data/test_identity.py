"""The identity of images: the same wherever they lie, another for other images, and what differs is named."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keras_resnet.data import identity
from keras_resnet.data.datasets import folder, loading
from keras_resnet.data.datasets.loading import Data
from keras_resnet.data.encoded_splits import FileSplit
from keras_resnet.data.splits import ArraySplit
from keras_resnet.data.tfrecords.records import RecordSplit
from keras_resnet.runs import data_identity, results

CLASSES = ("cat", "dog", "eel")


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Files of different sizes: 12 cats, 10 dogs and 8 eels to train on, and 2 of each to validate."""
    for split, counts in {"train": (12, 10, 8), "validation": (2, 2, 2)}.items():
        for number, (name, count) in enumerate(zip(CLASSES, counts, strict=True)):
            (place := tmp_path / "pictures" / split / name).mkdir(parents=True)
            for index in range(count):
                (place / f"{index:02}.png").write_bytes(b"x" * (100 * number + 10 * index + len(split)))
    return tmp_path / "pictures"


def splits(directory: Path) -> dict[str, FileSplit]:
    listings = {name: folder.scan(directory / name, CLASSES) for name in ("train", "validation")}
    return {name: FileSplit(listing.paths, listing.labels, 32) for name, listing in listings.items()}


def of(directory: Path) -> dict:
    """The identity of a folder, as JSON gives it back."""
    found = identity.of(Data(**splits(directory), test=None, class_names=CLASSES))
    results.check(found, data_identity.IDENTITY)
    return json.loads(json.dumps(found))


def differences(before: dict, now: dict) -> list[str]:
    return data_identity.differences(before, now)


def test_the_same_pictures_elsewhere_are_the_same(pictures, tmp_path):
    before = of(pictures)
    assert before["splits"]["train"]["images_by_class"] == [12, 10, 8]
    assert before["splits"]["train"]["first_by_class"][1].startswith("00.png of 105 bytes, ")
    shutil.copytree(pictures, tmp_path / "elsewhere")
    assert of(tmp_path / "elsewhere") == before
    assert differences(before, of(tmp_path / "elsewhere")) == []


def test_pictures_that_are_missing_and_classes_that_are_swapped_are_named(pictures):
    before = of(pictures)
    train = pictures / "train"
    (train / "cat").rename(train / "x")
    (train / "dog").rename(train / "cat")
    (train / "x").rename(train / "dog")
    assert differences(before, of(pictures)) == ["train: the classes cat and dog are swapped"]
    for index in (3, 5, 6):
        for name in ("cat", "eel"):
            (train / name / f"{index:02}.png").unlink()
    assert differences(before, of(pictures)) == [
        "train: 6 images fewer (30 -> 24)",
        "train: the classes cat and dog are swapped",
        "train: other images in eel (8 -> 5)",
    ]


def test_classes_of_numbered_files_of_one_size_are_told_apart(pictures):
    train = pictures / "train"
    for name in CLASSES:
        for index in range(9):
            (train / name / f"{index:02}.png").write_bytes(name.encode() * 700)
    before = of(pictures)
    (train / "cat").rename(train / "x")
    (train / "eel").rename(train / "cat")
    (train / "x").rename(train / "eel")
    assert "train: the classes cat and eel are swapped" in differences(before, of(pictures))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda place: (place / "eel" / "01.png").write_bytes(b"y"), "validation: other images in eel"),
        (lambda place: (place / "eel" / "01.png").rename(place / "eel" / "1.png"), "validation: other images in eel"),
        (
            lambda place: (place / "eel" / "02.png").write_bytes(b"y"),
            "validation: 1 image more (6 -> 7)|validation: other images in eel (2 -> 3)",
        ),
        (
            lambda place: (place / "eel" / "01.png").rename(place / "cat" / "02.png"),
            "validation: other images in cat (2 -> 3), eel (2 -> 1)",
        ),
    ],
)
def test_a_picture_that_changed_came_or_moved_makes_another_identity(pictures, change, line):
    before = of(pictures)
    change(pictures / "validation")
    assert "|".join(differences(before, of(pictures))) == line


def test_classes_and_splits_that_come_or_go_are_named(pictures):
    train = splits(pictures)["train"]
    before = identity.of(Data(train, train, None, CLASSES))
    for names, line in (
        (("cat", "dog", "fox"), "classes that are gone: eel|classes that are new: fox"),
        (("dog", "cat", "eel"), "the classes have another order"),
    ):
        found = differences(before, identity.of(Data(train, train, None, names)))
        assert "|".join(found).startswith(line)
    more = identity.of(Data(train, train, train, CLASSES))
    assert differences(before, more) == ["test: absent -> 30 images"]
    assert differences(more, before) == ["test: 30 images -> absent"]


def test_of_many_classes_some_are_named():
    names = tuple(map(str, range(8)))
    one, other = (ArraySplit(np.full((8, 2, 2, 1), value, np.uint8), np.arange(8)) for value in (1, 2))
    before, now = (identity.of(Data(split, split, None, names)) for split in (one, other))
    assert differences(before, now)[0] == "train: other images in 0, 1, 2, 3, 4 and 3 more"


def test_pixels_tell_images_in_memory_apart():
    data = loading.load("digits")
    before = identity.of(data)
    assert differences(before, identity.of(loading.load("digits"))) == []
    swapped = data.train.labels.copy()
    swapped[data.train.labels == 3], swapped[data.train.labels == 8] = 8, 3
    now = identity.of(replace(data, train=ArraySplit(data.train.images, swapped)))
    assert differences(before, now) == ["train: the classes 3 and 8 are swapped"]
    images = data.train.images.copy()
    images[5, 0, 0] ^= 1
    now = identity.of(replace(data, train=ArraySplit(images, data.train.labels)))
    assert differences(before, now) == [f"train: other images in {data.train.labels[5]}"]


def test_the_order_of_the_images_counts():
    """A training draws images by their numbers."""
    split = loading.load("digits").test or loading.load("digits").validation
    classes = tuple("0123456789")
    order = np.argsort(split.labels, kind="stable")
    sorted_by_class = ArraySplit(split.images[order], split.labels[order])
    before, now = (identity.of(Data(part, part, None, classes)) for part in (split, sorted_by_class))
    assert differences(before, now)[0] == "train: the same images in another order"


def records(place: Path, labels: list[int], checksum: str | None = None) -> Data:
    """Records of an index, in two shards that lie in a place."""
    place.mkdir(exist_ok=True)
    shards = tuple(f"{place}/train-0000{number}-of-00002" for number in (0, 1))
    if checksum:
        kept = [{"file": Path(shard).name, "sha256": checksum} for shard in shards]
        (place / "manifest.json").write_text(json.dumps({"shards": {"train": kept}}))
    shard, offset = np.array([0, 0, 1, 1], np.int32), np.array([0, 90, 0, 80])
    split = RecordSplit(shards, shard, offset, np.array(labels, np.int64), 32)
    return Data(split, split, None, CLASSES)


def test_records_are_told_apart_by_their_places_in_the_shards(tmp_path):
    before = identity.of(records(tmp_path / "a", [0, 1, 2, 1]))
    assert differences(before, identity.of(records(tmp_path / "b", [0, 1, 2, 1]))) == []
    assert differences(before, identity.of(records(tmp_path / "b", [1, 0, 2, 0])))[0] == (
        "train: the classes cat and dog are swapped"
    )


def test_a_manifest_tells_shards_apart_that_have_the_same_places(tmp_path):
    labels = [0, 1, 2, 1]
    with_sums = [identity.of(records(tmp_path / place, labels, place)) for place in ("a", "b")]
    without = identity.of(records(tmp_path / "c", labels))
    assert differences(*with_sums)[0] == "train: other files, says their manifest"
    assert differences(with_sums[0], without) == differences(without, with_sums[1]) == []
