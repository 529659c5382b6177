"""CIFAR as it was published, in small files of its layout that are written here."""

from __future__ import annotations

import tarfile
from dataclasses import replace

import numpy as np
import pytest

import train
from commands import status
from keras_resnet.data import places
from keras_resnet.data.datasets import cifar_archives, loading

RECORDS = (4, 3)
"""In each file of the training split; of the test split."""


@pytest.fixture(params=["cifar10", "cifar100"])
def name(request, monkeypatch) -> str:
    """A data set whose published files have few records."""
    small = replace(cifar_archives.LAYOUTS[request.param], records=RECORDS)
    monkeypatch.setitem(cifar_archives.LAYOUTS, request.param, small)
    return request.param


@pytest.fixture
def written(name, tmp_path):
    """Images and labels of both splits, which are in the published folder."""
    layout, noise = cifar_archives.LAYOUTS[name], np.random.default_rng(0)
    folder = tmp_path / places.PUBLISHED[name].folder
    folder.mkdir()
    found = []
    for files, count in zip((layout.train, layout.test), layout.records, strict=True):
        images = noise.integers(0, 256, (len(files) * count, 32, 32, 3), np.uint8)
        labels = noise.integers(0, 10, (len(images), layout.labels), np.uint8)
        for number, file in enumerate(files):
            rows = slice(number * count, (number + 1) * count)
            planes = images[rows].transpose(0, 3, 1, 2).reshape(count, -1)
            (folder / file).write_bytes(np.concatenate([labels[rows], planes], axis=1).tobytes())
        found.append((images, labels[:, -1]))
    return found


@pytest.fixture
def archive(name, written, tmp_path):
    """The same files in the published archive alone."""
    folder, path = (tmp_path / part for part in places.PUBLISHED[name])
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, folder.name)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    return path


def assert_read(name, directory, written) -> None:
    data = loading.load(name, directory)
    for split, (images, labels) in zip((data.train, data.validation), written, strict=True):
        np.testing.assert_array_equal(split.images, images)
        np.testing.assert_array_equal(split.labels, labels)


def test_the_folder_is_read(name, written, tmp_path):
    assert_read(name, tmp_path, written)
    assert_read(name, tmp_path / places.PUBLISHED[name].folder, written)


def test_the_archive_is_read_as_it_is(name, written, archive, tmp_path):
    assert_read(name, tmp_path, written)


def test_what_tensorflow_datasets_prepared_comes_first(name, written, tmp_path):
    prepared = tmp_path / name / "3.0.2"
    prepared.mkdir(parents=True)
    (prepared / "dataset_info.json").write_text("{}")
    assert places.find_cifar(name, tmp_path) == prepared


@pytest.mark.parametrize("change", ["missing", "short", "long"])
def test_a_wrong_file_is_named(name, written, tmp_path, change):
    folder, archive = tmp_path / places.PUBLISHED[name].folder, places.PUBLISHED[name].archive
    file = folder / cifar_archives.LAYOUTS[name].train[-1]
    content = file.read_bytes()
    file.write_bytes(content[:-1] if change == "short" else content + b"0")
    if change == "missing":
        file.unlink()
    with pytest.raises(ValueError, match="is damaged") as error:
        loading.load(name, tmp_path)
    assert str(error.value).startswith(f"{folder} is damaged or incomplete; get {archive} again (")
    assert (f"there is no {file.name}" if change == "missing" else f"{file.name} has ") in str(error.value)


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda content: b"none"])
def test_a_damaged_archive_is_named(name, archive, tmp_path, damage):
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(ValueError, match="is damaged or incomplete; get .* again"):
        loading.load(name, tmp_path)


def test_a_label_out_of_range_is_refused(name, written, tmp_path):
    layout, folder = cifar_archives.LAYOUTS[name], tmp_path / places.PUBLISHED[name].folder
    content = bytearray((folder / layout.test[0]).read_bytes())
    content[layout.labels - 1] = 200
    (folder / layout.test[0]).write_bytes(content)
    with pytest.raises(ValueError, match="Received: label 200 of image 0 in the validation split"):
        loading.load(name, tmp_path)


def test_a_missing_data_set_says_which_archive_to_put_there(tmp_path, capsys):
    assert status(train.main, "cifar10-resnet20", "--run.data-directory", tmp_path) == 2
    assert "To get it there: put cifar-10-binary.tar.gz there as it was published, or" in capsys.readouterr().err
