"""Folders of pictures, whole and broken."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data import damage
from keras_resnet.data.batches import training_batches
from keras_resnet.data.datasets import loading
from keras_resnet.data.encoded_images import decode


def truncate(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def test_splits_classes_and_labels(pictures):
    data = loading.load("folder", pictures, image_size=16)
    assert data.class_names == ("cat", "dog")
    assert (data.train.size, data.validation.size, data.test) == (12, 5, None)
    assert data.image_shape == (16, 16, 3)
    for split in (data.train, data.validation):
        assert len(set(split.paths)) == split.size
    assert np.bincount(data.train.labels).tolist() == [7, 5]


def test_labels_follow_the_folders(pictures):
    split = loading.load("folder", pictures, image_size=16).train
    for path, label in zip(split.paths, split.labels, strict=True):
        assert f"/{('cat', 'dog')[label]}/" in path


def test_the_order_is_mixed_and_does_not_depend_on_the_place(pictures, tmp_path_factory):
    copy = shutil.copytree(pictures, tmp_path_factory.mktemp("copy") / "pictures")
    here, there = (loading.load("folder", path).train for path in (pictures, copy))
    assert [path[len(str(pictures)) :] for path in here.paths] == [path[len(str(copy)) :] for path in there.paths]
    assert np.abs(np.diff(here.labels)).sum() > 1


def test_a_holdout_is_the_end_of_the_training_images(pictures):
    whole = loading.load("folder", pictures)
    data = loading.load("folder", pictures, holdout=4)
    assert data.train.paths + data.validation.paths == whole.train.paths
    assert data.validation.size == 4 and data.test.paths == whole.validation.paths
    np.testing.assert_array_equal(np.append(data.train.labels, data.validation.labels), whole.train.labels)


def test_class_folders_without_splits_need_a_holdout(pictures):
    with pytest.raises(ValueError, match="has no validation images.*`holdout=1`$"):
        loading.load("folder", pictures / "train")
    data = loading.load("folder", pictures / "train", holdout=3)
    assert (data.train.size, data.validation.size, data.test) == (9, 3, None)


@pytest.mark.parametrize("holdout", [12, 13, -1])
def test_a_holdout_must_leave_images(pictures, holdout):
    with pytest.raises(ValueError, match=f"`holdout` must be at least 0 and below 12.* Received: holdout={holdout}"):
        loading.load("folder", pictures, holdout=holdout)


def test_gray_and_transparent_pictures_become_rgb(tmp_path):
    for channels in (1, 2, 3, 4):
        path = tmp_path / f"{channels}.png"
        path.write_bytes(tf.io.encode_png(tf.fill([4, 5, channels], tf.constant(99, tf.uint8))).numpy())
        np.testing.assert_array_equal(decode(path.read_bytes()), np.full((4, 5, 3), 99))


def test_other_and_hidden_files_are_passed_over(pictures):
    cat = pictures / "train" / "cat"
    for name in ("notes.txt", ".DS_Store", "._0.jpg"):
        (cat / name).write_text("no image")
    (pictures / "train" / ".cache").mkdir()
    assert loading.load("folder", pictures).train.size == 12


def test_no_directory(tmp_path):
    with pytest.raises(ValueError, match="`data_directory` must be"):
        loading.load("folder")
    with pytest.raises(FileNotFoundError, match=f"no directory {tmp_path / 'missing'}"):
        loading.load("folder", tmp_path / "missing")


def test_an_empty_directory(tmp_path):
    with pytest.raises(
        ValueError, match=f"{tmp_path} must hold one folder of images for each class. It holds no folder"
    ):
        loading.load("folder", tmp_path)


def test_a_class_without_images(pictures):
    (pictures / "train" / "fish").mkdir()
    with pytest.raises(ValueError, match="fish must hold JPEG, PNG, WebP, BMP or GIF images"):
        loading.load("folder", pictures)


def test_a_class_of_validation_alone(pictures, write_pictures):
    write_pictures(pictures / "validation" / "wolf", 1)
    with pytest.raises(ValueError, match="validation has folders that .*train has not: wolf"):
        loading.load("folder", pictures)


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("name", ["0.jpg", "1.png"])
@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.99])
def test_truncated_images_are_named(pictures, split, name, share):
    path = pictures / split / "cat" / name
    truncate(path, share)
    with pytest.raises(ValueError, match="1 of 17 images cannot be used") as error:
        loading.load("folder", pictures)
    assert f"{path}: " in str(error.value)


def test_the_fault_is_named(pictures):
    cat = pictures / "train" / "cat"
    (cat / "0.jpg").write_bytes(b"")
    (cat / "1.png").write_text("hello")
    truncate(cat / "2.jpg", 0.9)
    (cat / "3.png").unlink()
    (cat / "3.png").symlink_to("nowhere")
    with pytest.raises(ValueError, match="4 of 17 images cannot be used") as error:
        loading.load("folder", pictures)
    for name, fault in {"0.jpg": "empty", "1.png": "no JPEG, PNG, WebP, BMP or GIF", "2.jpg": "truncated"}.items():
        assert f"{cat / name}: {fault}" in str(error.value)
    assert f"{cat / '3.png'}: unreadable (No such file or directory)" in str(error.value)


def test_a_long_list_of_faults_is_cut(tmp_path, write_pictures, monkeypatch):
    monkeypatch.setattr(damage, "NAMED", 10)
    for path in write_pictures(tmp_path / "cat", 15):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="15 of 15 images") as error:
        loading.load("folder", tmp_path, holdout=1)
    assert str(error.value).count(": empty") == 10 and str(error.value).endswith("… and 5 more")


def test_data_after_a_complete_image_is_no_fault(pictures):
    path = pictures / "train" / "cat" / "0.jpg"
    path.write_bytes(path.read_bytes() + b"what some cameras append")
    assert loading.load("folder", pictures).train.size == 12


@pytest.mark.parametrize("name", ["0.jpg", "1.png"])
def test_an_image_damaged_after_loading_is_named(pictures, name):
    data = loading.load("folder", pictures, image_size=16)
    path = pictures / "train" / "cat" / name
    truncate(path, 0.5)
    batches = training_batches(data.train, global_batch_size=12, augmentation=(), seed=0)
    named = pytest.raises(ValueError, match="1 of 17 images cannot be used")
    with named as error, loading.naming_damaged_images(data):
        next(iter(batches))
    assert f"{path}: damaged" in str(error.value)


def test_an_error_of_another_cause_stays_itself(pictures):
    data = loading.load("folder", pictures)
    with pytest.raises(tf.errors.InvalidArgumentError), loading.naming_damaged_images(data):
        tf.debugging.assert_equal(1, 2)
