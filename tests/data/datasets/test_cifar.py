"""CIFAR from directories of tensorflow-datasets: the real one where there is one, and small ones written here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data import places
from keras_resnet.data.datasets import cifar, loading
from tiers import slow

tfds = pytest.importorskip("tensorflow_datasets")

MEAN = [0.4914, 0.4822, 0.4465]
"""Of the training images of CIFAR-10, as published."""


def write(name, directory, version="3.0.2", train=12, classes=100, size=32):
    """A data set with the layout of CIFAR; returns its arrays."""
    noise = np.random.default_rng(0)
    features = tfds.features.FeaturesDict(
        {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(size, size, 3)),
            "label": tfds.features.ClassLabel(num_classes=classes),
        }
    )
    arrays = {
        split: (noise.integers(0, 256, (count, size, size, 3), np.uint8), noise.integers(0, classes, count))
        for split, count in {"train": train, "test": 5}.items()
    }
    folder = directory / name / version
    folder.mkdir(parents=True)
    template = tfds.core.ShardedFileTemplate(
        folder, template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}", dataset_name=name, filetype_suffix="tfrecord"
    )
    infos = []
    for split, (images, labels) in arrays.items():
        shards = [slice(0, len(labels) // 2), slice(len(labels) // 2, None)]
        infos.append(tfds.core.SplitInfo(split, [len(labels[shard]) for shard in shards], 0, template))
        for path, shard in zip(infos[-1].filepaths, shards, strict=True):
            with tf.io.TFRecordWriter(str(path)) as writer:
                for image, label in zip(images[shard], labels[shard], strict=True):
                    writer.write(features.serialize_example({"id": "", "image": image, "label": label}))
    tfds.folder_dataset.write_metadata(
        data_dir=folder, features=features, split_infos=infos, filename_template=template
    )
    return arrays


def test_cifar100_as_written(tmp_path):
    arrays = write("cifar100", tmp_path, train=80)
    data = loading.load("cifar100", tmp_path)
    for split, name in [(data.train, "train"), (data.validation, "test")]:
        images, labels = arrays[name]
        np.testing.assert_array_equal(split.images, images)
        np.testing.assert_array_equal(split.labels, labels)
    assert len(data.class_names) == 100 and data.image_shape == (32, 32, 3)


def test_the_newest_version_is_read(tmp_path):
    for version, train in {"3.0.2": 3, "3.0.10": 4, "2.11.0": 5}.items():
        write("cifar10", tmp_path, version, train, classes=10)
    assert loading.load("cifar10", tmp_path).train.size == 4


def test_a_missing_data_set_says_how_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        loading.load("cifar100", tmp_path)
    assert f"cifar100 is not in {tmp_path}" in str(error.value)
    assert "another `data_directory`" in str(error.value)
    assert f"tfds.builder('cifar100', data_dir='{tmp_path}').download_and_prepare()" in str(error.value)


def test_without_a_directory_tensorflow_datasets_own_is_searched(tmp_path, monkeypatch):
    assert places.of_tensorflow_datasets() == Path(tfds.core.constants.DATA_DIR).expanduser()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "own"))
    with pytest.raises(FileNotFoundError, match=str(tmp_path / "own")):
        loading.load("cifar10")


def test_a_truncated_file_is_an_error(tmp_path):
    write("cifar10", tmp_path, classes=10)
    path, _ = sorted((tmp_path / "cifar10").rglob("*train*tfrecord*"))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="The train split of cifar10 in .* is damaged"):
        loading.load("cifar10", tmp_path)


@pytest.mark.parametrize("change", ["shardLengths", "shape", "array_record"])
def test_other_files_than_listed_are_an_error(tmp_path, change):
    write("cifar10", tmp_path, classes=10, size=31 if change == "shape" else 32)
    info = tmp_path / "cifar10" / "3.0.2" / "dataset_info.json"
    content = json.loads(info.read_text())
    if change == "shardLengths":
        content["splits"][0]["shardLengths"][1] = "7"
    if change == "array_record":
        content["fileFormat"] = "array_record"
    info.write_text(json.dumps(content))
    cause = {
        "shardLengths": "has 6 records, not 7",
        "shape": r"an image has the shape \(31, 31, 3\), not \(32, 32, 3\)",
        "array_record": "files of the format tfrecord. Received: array_record",
    }[change]
    with pytest.raises(ValueError, match=rf"The train split of cifar10 in .* is damaged or incomplete.*{cause}"):
        loading.load("cifar10", tmp_path)


def test_a_label_out_of_range_is_refused(tmp_path):
    """A data set of another number of classes under the name."""
    write("cifar10", tmp_path, train=50, classes=100)
    with pytest.raises(
        ValueError, match=r"Labels must be at least 0 and below 10.* label \d\d of image \d+ in the train"
    ):
        loading.load("cifar10", tmp_path)


@pytest.fixture
def real(shared_data):
    """The data directory that holds the real CIFAR-10."""
    if not (shared_data / "tfds" / "cifar10").is_dir():
        pytest.skip(f"no cifar10 in {shared_data / 'tfds'}")
    return shared_data / "tfds"


@pytest.mark.parametrize("split", ["test", *slow(["train"])])
def test_the_real_cifar10_is_that_of_tensorflow_datasets(real, split):
    """In the order of the files, which is that of one file after the other."""
    place = places.find_version("cifar10", real)
    ours = cifar.read(place, split, (32, 32, 3))
    theirs = tfds.builder_from_directory(place).as_dataset(
        split=split, batch_size=-1, read_config=tfds.ReadConfig(interleave_cycle_length=1)
    )
    np.testing.assert_array_equal(ours.images, theirs["image"])
    np.testing.assert_array_equal(ours.labels, theirs["label"])
    np.testing.assert_allclose(ours.images.mean(axis=(0, 1, 2)) / 255, MEAN, atol=0.02)


@pytest.mark.slow
def test_the_real_cifar10(real):
    data = loading.load("cifar10", real, holdout=5000)
    assert (data.train.size, data.validation.size) == (45_000, 5_000)
    counts = np.bincount(data.train.labels) + np.bincount(data.validation.labels)
    np.testing.assert_array_equal(counts, [5000] * 10)
    mean = (45 * data.train.images.mean(axis=(0, 1, 2)) + 5 * data.validation.images.mean(axis=(0, 1, 2))) / 50
    np.testing.assert_allclose(mean / 255, MEAN, atol=1e-4)
