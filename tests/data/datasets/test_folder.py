"""Folders of pictures, whole and broken."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from keras_resnet.data.datasets import folder, loading
from keras_resnet.data.picture_files import damage, memory
from keras_resnet.data.tensorflow import pipelines
from keras_resnet.data.tensorflow.batches import evaluation_batches, training_batches
from keras_resnet.data.tensorflow.encoded_images import decode
from keras_resnet.host import texts


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


def test_classes_that_a_small_holdout_lacks_are_named(pictures):
    told = []
    data = loading.load("folder", pictures, holdout=1, tell=told.append)
    absent = [name for label, name in enumerate(data.class_names) if label != data.validation.labels[0]]
    assert told == [f"of the images that are held out for validation, none is of {', '.join(absent)}"]


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


def broken_in_the_middle(content: bytes) -> bytes:
    """A JPEG that ends well, and whose picture does not."""
    return content[: len(content) * 2 // 3] + b"\xff\xd9"


def test_a_jpeg_that_is_broken_in_the_middle_is_named_once_and_nothing_else_is_written(pictures, capfd):
    """TensorFlow decodes it, and libjpeg writes a line without its name, each time."""
    path = pictures / "train" / "cat" / "0.jpg"
    path.write_bytes(broken_in_the_middle(path.read_bytes()))
    assert decode(path.read_bytes()).shape[-1] == 3 and "premature end" in capfd.readouterr().err
    truncate(pictures / "train" / "cat" / "2.jpg", 0.9)
    with pytest.raises(ValueError, match="2 of 17 images cannot be used") as error:
        loading.load("folder", pictures)
    assert f"{path}: damaged (premature end of data segment)" in str(error.value)
    assert capfd.readouterr().err == ""


def test_what_others_write_on_standard_error_meanwhile_is_shown(pictures, capfd, monkeypatch):
    examine_file = damage.examine_file

    def warn(path):
        if path.endswith("dog/0.jpg"):
            os.write(2, b"somebody else's warning\n")
        return examine_file(path)

    monkeypatch.setattr(damage, "examine_file", warn)
    loading.load("folder", pictures)
    assert capfd.readouterr().err == "somebody else's warning\n" * 2


def test_a_harmless_remark_of_libjpeg_is_told_and_the_image_taken(pictures):
    path, lines = pictures / "train" / "cat" / "0.jpg", []
    content = bytearray(path.read_bytes())
    assert content[6:11] == b"JFIF\x00"
    content[11] = 7  # the major revision
    path.write_bytes(content)
    assert loading.load("folder", pictures, tell=lines.append).train.size == 12
    [line] = lines
    assert line.startswith("taking 1 images as libjpeg decodes them") and f"{path} (Warning: unknown JFIF" in line


def test_imagenet_in_class_folders_is_taken_as_everybody_takes_it(pictures):
    """What libjpeg decodes with a complaint counts, and nothing is turned, as in its records."""
    broken, turned = (pictures / "train" / "cat" / f"{number}.jpg" for number in (0, 2))
    broken.write_bytes(broken_in_the_middle(broken.read_bytes()))
    with Image.open(turned) as image:
        note = Image.Exif()
        note[0x0112] = 6
        image.save(turned, exif=note)
    lines = []
    data = loading.load("imagenet", pictures, tell=lines.append)
    assert data.train.size == 12 and data.train.orientations is None
    assert str(broken) in lines[0]
    broken.unlink()
    assert sorted(set(loading.load("folder", pictures).train.orientations)) == [1, 6]


@pytest.mark.parametrize("cache", [None, "encoded", "decoded"])
def test_all_formats_are_read_and_turned_images_are_those_that_were_turned_before(pictures, noise, cache):
    cat = pictures / "train" / "cat"
    for number, (kind, name) in enumerate([("WEBP", "a.webp"), ("PNG", "b.png"), ("BMP", "c.bmp"), ("GIF", "d.GIF")]):
        image, note = Image.fromarray(noise.integers(0, 256, (30, 21), np.uint8)), Image.Exif()
        note[0x0112] = 5 + number % 2
        image.save(cat / name, kind, lossless=True, exif=note)
        with Image.open(cat / name) as read:
            ImageOps.exif_transpose(read).convert("RGB").save(cat / f"{name}.png")
    data = loading.load("folder", pictures, image_size=16, cache=cache)
    assert data.train.size == 20
    for names, drawn in (((), tf.zeros([0])), (("random-resized-crop",), tf.fill([4], 0.3))):
        elements = tf.data.Dataset.range(20).map(lambda index, drawn=drawn: (index, drawn))
        [(squares, _)] = pipelines.batches(data.train, elements, 20, names, padding=0, drop_remainder=False)
        by_name = dict(zip((Path(path).name for path in data.train.paths), squares.numpy(), strict=True))
        for name in ("a.webp", "b.png", "c.bmp", "d.GIF"):
            np.testing.assert_array_equal(by_name[name], by_name[f"{name}.png"])


def test_folders_in_class_folders_are_searched(pictures, write_pictures):
    before = loading.load("folder", pictures).train
    write_pictures(pictures / "train" / "cat" / "more" / "of them.jpg", 3)
    (pictures / "train" / "cat" / "more" / "around").symlink_to(pictures / "train" / "cat")
    (pictures / "train" / "dog" / "linked").symlink_to(pictures / "validation" / "dog")
    train = loading.load("folder", pictures).train
    assert np.bincount(train.labels).tolist() == [10, 7]
    assert [path for path in train.paths if path in before.paths] == list(before.paths)


@pytest.mark.parametrize("name", folder.VALIDATION)
def test_names_of_the_validation_folder(pictures, name):
    (pictures / "validation").rename(pictures / name)
    assert loading.load("folder", pictures).validation.size == 5


def test_splits_that_are_not_clear_are_refused(pictures):
    (pictures / "val").mkdir()
    with pytest.raises(ValueError, match="must hold one folder of validation images. It holds validation and val"):
        loading.load("folder", pictures)
    (pictures / "val").rmdir()
    (pictures / "train").rename(pictures / "training")
    with pytest.raises(ValueError, match="holds training and validation, but no train: name"):
        loading.load("folder", pictures)


def test_what_is_left_out_is_counted_and_named(pictures):
    cat, lines = pictures / "train" / "cat", []
    others = [cat / "deep" / "a.tif", cat / "notes.txt", pictures / "validation" / "dog" / "b.heic"]
    for path in [*others, cat / ".hidden.txt", cat / ".cache" / "c.txt"]:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    os.mkfifo(pictures / "train" / "pipe")
    assert loading.load("folder", pictures, tell=lines.append).train.size == 12
    [line] = lines
    assert line.startswith("leaving out 4 files whose names are not of JPEG, PNG, WebP, BMP or GIF: ")
    assert all(str(path) in line for path in [*others, pictures / "train" / "pipe"])
    for number in range(5):
        (cat / f"{number}.txt").touch()
    loading.load("folder", pictures, tell=lines.append)
    assert lines[1].startswith("leaving out 9 files") and lines[1].endswith("and 4 more")


def test_special_files_are_refused_by_name(pictures):
    cat = pictures / "train" / "cat"
    os.mkfifo(cat / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(cat / "socket.png"))
    (cat / "device.gif").symlink_to("/dev/null")
    (cat / "page.jpg").write_text("<html>not found</html>")
    (cat / "scan.jpg").write_bytes(b"II*\x00" + bytes(50))
    (cat / "a.webp").write_bytes(b"RIFF" + bytes(50))
    with pytest.raises(ValueError, match="6 of 23 images cannot be used") as error:
        loading.load("folder", pictures)
    for name, fault in {
        "pipe.jpg": "a named pipe, not a file",
        "socket.png": "a socket, not a file",
        "device.gif": "a device, not a file",
        "page.jpg": "no JPEG, PNG, WebP, BMP or GIF, but HTML, XML or SVG",
        "scan.jpg": "no JPEG, PNG, WebP, BMP or GIF, but TIFF",
        "a.webp": "damaged",
    }.items():
        assert f"{cat / name}: {fault}" in str(error.value)


def test_without_pillow_the_formats_that_need_it_are_named(pictures, monkeypatch):
    Image.new("RGB", (9, 9)).save(pictures / "train" / "cat" / "a.webp")
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(damage.importlib.util, "find_spec", lambda name: None if name == "PIL" else find_spec(name))
    with pytest.raises(ValueError, match="1 of 18 images cannot be used") as error:
        loading.load("folder", pictures)
    assert str(error.value).endswith("a.webp: WebP, which needs Pillow (pip install pillow)")


def test_file_names_need_not_be_utf_8(pictures):
    cat = pictures / "train" / "cat"
    (cat / "0.jpg").rename(cat / os.fsdecode(b"caf\xe9.jpg"))
    data = loading.load("folder", pictures, image_size=16)
    assert data.train.size == 12 and sum("caf\udce9" in path for path in data.train.paths) == 1
    assert sum(len(labels) for _, labels in evaluation_batches(data.train, batch_size=12)) == 12
    assert data.train.damaged() == [] and data.train.encoded_bytes() > 0


@pytest.mark.parametrize("name", [b"caf\xe9", b"\x1b[31mcat", b"two\nlines", b"a\ttab", "two\u2028lines".encode()])
def test_class_names_that_cannot_be_written_in_a_line_are_refused(pictures, name):
    (pictures / "train" / "cat").rename(pictures / "train" / os.fsdecode(name))
    with pytest.raises(ValueError, match="must be UTF-8 without control characters. .*/train has the class ") as error:
        loading.load("folder", pictures)
    assert texts.printable(error.value) == str(error.value)


def test_what_was_found_whole_is_not_decoded_again(pictures, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    examined = []
    examine_file = damage.examine_file
    monkeypatch.setattr(damage, "examine_file", lambda path: examined.append(path) or examine_file(path))

    def load() -> int:
        examined.clear()
        split = loading.load("folder", pictures).train
        assert split.orientations.tolist() == [6 if Path(path).name == "turned.png" else 1 for path in split.paths]
        return len(examined)

    assert load() == 17 and load() == 17  # just written: they may change without a trace
    note = Image.Exif()
    note[0x0112] = 6
    Image.new("RGB", (9, 9)).save(pictures / "train" / "cat" / "turned.png", exif=note)
    for path in pictures.rglob("*.*"):
        os.utime(path, (1e9, 1e9))
    assert load() == 18 and load() == 0
    changed = pictures / "train" / "cat" / "0.jpg"
    changed.write_bytes(changed.read_bytes())
    assert load() == 1
    truncate(changed, 0.5)
    os.utime(changed, (1e9, 1e9))
    for _ in range(2):
        with pytest.raises(ValueError, match="1 of 18 images cannot be used"):
            load()
        assert examined == [str(changed)]
    [kept] = memory.directory().iterdir()
    kept.write_bytes(b"damaged")
    changed.unlink()
    assert load() == 17 and load() == 0


def test_nothing_is_remembered_where_nothing_can_be_written(pictures, tmp_path_factory, monkeypatch):
    file = tmp_path_factory.mktemp("cache") / "file"
    file.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    for path in pictures.rglob("*.*"):
        os.utime(path, (1e9, 1e9))
    for _ in range(2):
        assert loading.load("folder", pictures).train.size == 12
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", classmethod(no_home))
    assert loading.load("folder", pictures).train.size == 12


def no_home(_):
    raise RuntimeError("Could not determine home directory.")


def test_how_many_images_were_examined_is_told_now_and_then(monkeypatch):
    lines, now = [], iter([0, 4, 10, 10, 15, 20, 20, 30])
    progress = folder._telling(lines.append, clock=lambda: next(now))
    for done in (100, 500, 700, 900):
        progress(done, 1_000)
    progress(1_000, 1_000)
    assert lines == [
        "looking for damage, once: 500 of 1,000 images, 0:10 left",
        "looking for damage, once: 900 of 1,000 images, 0:02 left",
    ]
