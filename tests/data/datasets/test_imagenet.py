"""ImageNet's directories, whole and broken, and the indexes beside them."""

from __future__ import annotations

import functools
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.datasets import imagenet
from keras_resnet.data.encoded_splits import FileSplit
from keras_resnet.data.tensorflow.batches import evaluation_batches, training_batches
from keras_resnet.data.tfrecords import records
from keras_resnet.data.tfrecords.records import RecordSplit

NAMES = ("n01440764", "n01443537", "n01484850", "n01491361")
TFDS_COUNTS = {"train": (5, 6, 4), "validation": (3, 4)}
TFDS = "imagenet2012-{split}.tfrecord-{number:05}-of-{count:05}"
OLDER = "{split}-{number:05}-of-{count:05}"


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch) -> Path:
    """A home of the test's own, so that no cache outlives it."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def scans(monkeypatch) -> list[int]:
    """Grows by the number of shards at every scan."""
    done = []

    def counted(paths, *arguments):
        done.append(len(paths))
        return records.scan(paths, *arguments)

    monkeypatch.setattr("keras_resnet.data.tfrecords.index.scan", counted)
    return done


@functools.cache
def example(label, split, older=False):
    image = tf.io.encode_jpeg(tf.fill([10, 12, 3], tf.constant(60 * label, tf.uint8))).numpy()
    name = f"{NAMES[label]}_7.JPEG" if split == "train" else "ILSVRC2012_val_00000001.JPEG"
    values = {"image": image, "file_name": name.encode(), "label": label}
    if older:
        values = {"image/encoded": image, "image/filename": name.encode(), "image/class/label": label + 1}
        values["image/class/synset"] = NAMES[label].encode()
    feature = {
        key: tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        if isinstance(value, int)
        else tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for key, value in values.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def write(directory, template=TFDS, names=NAMES):
    """Shards of images of the labels 0, 1, 2, 3, 0, …"""
    directory.mkdir(parents=True, exist_ok=True)
    infos = []
    for split, counts in TFDS_COUNTS.items():
        label = 0
        for number, length in enumerate(counts):
            path = directory / template.format(split=split, number=number, count=len(counts))
            with tf.io.TFRecordWriter(str(path)) as writer:
                for _ in range(length):
                    writer.write(example(label % 4, split, template == OLDER))
                    label += 1
        infos.append({"name": split, "shardLengths": [str(length) for length in counts]})
    if template == TFDS:
        (directory / "dataset_info.json").write_text(json.dumps({"splits": infos}))
    if names:
        (directory / "label.labels.txt").write_text("\n".join(names) + "\n")
    return directory


@pytest.fixture
def directory(tmp_path) -> Path:
    """A directory with 15 training and 7 validation images as tensorflow-datasets keeps them."""
    return write(tmp_path / "imagenet2012" / "5.1.0")


def shards(directory, split="train"):
    return sorted(directory.glob(f"*{split}*-of-*"))


def write_index(directory, split="train", **changes):
    """The index that the preparation would write, with changes."""
    paths = [str(path) for path in shards(directory, split)]
    shard, offset, label = records.scan(paths, records.find_schema(paths[0]))
    path = directory / f"imagenet2012-{split}.index.npz"
    np.savez(path, **{"shard": shard, "offset": offset, "label": label, **changes})
    return path


def colors(split: RecordSplit):
    """The label of every image of a split as its color tells it."""
    batches = evaluation_batches(split, batch_size=4)
    read = np.concatenate([images[labels >= 0] for images, labels in batches.as_numpy_iterator()])
    return (np.rint(read[:, 4, 4, 0] / 60)).astype(int).tolist()


@pytest.mark.parametrize("template", [TFDS, OLDER])
def test_splits_classes_and_labels(tmp_path, template):
    train, validation, class_names = imagenet.load(write(tmp_path, template), 8)
    assert class_names == NAMES and (train.size, validation.size) == (15, 7)
    assert train.image_shape == validation.image_shape == (8, 8, 3)
    for split in (train, validation):
        assert split.labels.tolist() == [index % 4 for index in range(split.size)] == colors(split)
        assert split.damaged() == []


@pytest.mark.parametrize("place", ["", "imagenet2012", "imagenet2012/5.10.0"])
def test_the_newest_version_with_shards_is_found_from_every_level(tmp_path, place):
    for version in ("5.9.0", "5.10.0"):
        write(tmp_path / "imagenet2012" / version)
    (tmp_path / "imagenet2012" / "5.11.0").mkdir()
    newest = tmp_path / "imagenet2012" / "5.10.0"
    assert imagenet.load(tmp_path / place)[0].paths == tuple(map(str, shards(newest)))


def test_the_side_of_the_views_is_224_unless_told(directory):
    assert imagenet.load(directory)[0].image_shape == (224, 224, 3)


def test_without_a_label_map_classes_have_numbers(tmp_path):
    assert imagenet.load(write(tmp_path, OLDER, names=None))[2] == ("0", "1", "2", "3")


def test_class_folders_are_read_as_a_folder(pictures):
    train, validation, class_names = imagenet.load(pictures, 16)
    assert isinstance(train, FileSplit) and isinstance(validation, FileSplit)
    assert class_names == ("cat", "dog") and train.image_shape == (16, 16, 3)


def test_training_reads_every_image_once_in_an_epoch(directory):
    batches = training_batches(
        imagenet.load(directory, 8)[0], global_batch_size=5, augmentation=("random-resized-crop", "flip"), seed=0
    )
    labels = np.concatenate([labels for _, labels in batches.take(3)])
    assert np.bincount(labels).tolist() == [4, 4, 4, 3]


# Directories


def test_no_directory(tmp_path):
    with pytest.raises(ValueError, match="`data_directory` must be"):
        imagenet.load(None)
    with pytest.raises(FileNotFoundError, match=f"no directory {tmp_path / 'missing'}"):
        imagenet.load(tmp_path / "missing")


def test_a_directory_of_something_else(tmp_path):
    (tmp_path / "imagenet2012").mkdir()
    (tmp_path / "train").mkdir()
    with pytest.raises(
        FileNotFoundError,
        match=f"ImageNet is not in {tmp_path}: .*Choose another `data_directory`, or prepare ImageNet first",
    ):
        imagenet.load(tmp_path)


@pytest.mark.parametrize(("missing", "found"), [("train", "validation"), ("validation", "train")])
def test_a_split_that_is_not_there(directory, missing, found):
    for path in shards(directory, missing):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=f"has shards of the {found} split, but none of {missing}"):
        imagenet.load(directory)
    with pytest.raises(FileNotFoundError, match=f"has no shards of the {missing} split"):
        imagenet.read_index(directory, missing)


def test_missing_shards_are_named(directory):
    for path in shards(directory)[::2]:
        path.unlink()
    with pytest.raises(FileNotFoundError, match=f"2 of 3 shards are not in {directory}; .*00000-of-00003, .*00002-of"):
        imagenet.load(directory)


def test_a_link_to_nowhere_is_named(directory):
    path = shards(directory)[1]
    path.unlink()
    path.symlink_to("nowhere")
    with pytest.raises(FileNotFoundError, match=f"{path} cannot be read"):
        imagenet.load(directory)


def test_two_sets_of_shards_are_refused(directory):
    shutil.copy(shards(directory)[0], directory / "imagenet2012-train.tfrecord-00000-of-00001")
    with pytest.raises(ValueError, match="must hold one set of train shards.*of-00001 and .*of-00003"):
        imagenet.load(directory)


# Shards


def test_an_empty_shard_is_named(directory):
    shards(directory)[2].write_bytes(b"")
    with pytest.raises(ValueError, match=f"{shards(directory)[2]} must hold records, but is empty"):
        imagenet.load(directory)


@pytest.mark.parametrize("number", [0, 1])
def test_a_cut_shard_is_named(directory, number):
    path = shards(directory)[number]
    os.truncate(path, path.stat().st_size - 5)
    with pytest.raises(ValueError, match=f"{path} is damaged or cut; get it again"):
        imagenet.load(directory)


def test_a_shard_cut_between_two_records_is_noticed_by_their_number(directory):
    index = imagenet.read_index(directory, "train")
    os.truncate(shards(directory)[0], index.offset[4])
    with pytest.raises(ValueError, match="Shard 0 of the train split in .* must hold 5 records, .* There are 4"):
        imagenet.load(directory)


def test_other_numbers_of_shards_than_described(directory):
    (directory / "dataset_info.json").write_text('{"splits": [{"name": "train", "shardLengths": ["15"]}]}')
    with pytest.raises(ValueError, match="dataset_info.json lists 1 train shards, but there are 3"):
        imagenet.load(directory)


@pytest.mark.parametrize("content", ["", "{}", '{"splits": [{"name": "train"}]}', "[]"])
def test_a_damaged_description_is_named(directory, content):
    (directory / "dataset_info.json").write_text(content)
    with pytest.raises(ValueError, match=f"{directory / 'dataset_info.json'} must list the shards of train"):
        imagenet.load(directory)


# Label maps


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (NAMES[:3], "names 3, and there is an image of label 3; get the right label map"),
        ((NAMES[1], NAMES[0], *NAMES[2:]), f"names class 0 {NAMES[1]}, and {NAMES[0]}_7.JPEG of that label is"),
        ((*NAMES[:3], NAMES[0]), "every class once"),
        ((*NAMES[:2], "", *NAMES[2:]), "every class once"),
        (("",), "every class once"),
    ],
)
@pytest.mark.parametrize("template", [TFDS, OLDER])
def test_a_wrong_label_map_is_named(tmp_path, template, names, match):
    with pytest.raises(ValueError, match=f"^{tmp_path / 'label.labels.txt'} must name .*{match}"):
        imagenet.load(write(tmp_path, template, names))


def test_a_label_map_that_is_no_text_is_named(directory):
    (directory / "label.labels.txt").write_bytes(b"n01\xff\n")
    with pytest.raises(ValueError, match=f"{directory / 'label.labels.txt'} must be a text in UTF-8"):
        imagenet.load(directory)


def test_the_lines_of_a_label_map_may_end_as_on_windows(directory):
    (directory / "label.labels.txt").write_bytes("\r\n".join([*NAMES, ""]).encode())
    assert imagenet.load(directory)[2] == NAMES


def test_a_label_map_may_begin_with_a_byte_order_mark(directory):
    (directory / "label.labels.txt").write_text("\n".join([*NAMES, ""]), encoding="utf-8-sig")
    assert imagenet.load(directory)[2] == NAMES


def test_a_label_map_with_commands_to_the_terminal_is_refused(directory):
    (directory / "label.labels.txt").write_text("\n".join(["\x1b[31mred", *NAMES[1:]]))
    with pytest.raises(ValueError, match="label.labels.txt has the class .*x1b.*31mred"):
        imagenet.load(directory)


def test_names_that_are_no_wnids_are_not_compared(tmp_path):
    names = ("tench", "goldfish", "great white shark", "tiger shark")
    assert imagenet.load(write(tmp_path, names=names))[2] == names


def test_labels_below_zero_are_refused(directory):
    write_index(directory, label=np.full(15, -1))
    with pytest.raises(ValueError, match="must not be below zero. Received: -1"):
        imagenet.load(directory)


# Indexes


def same(index, other):
    for name in ("shard", "offset", "labels"):
        np.testing.assert_array_equal(getattr(index, name), getattr(other, name))
    return index.paths == other.paths and index.schema == other.schema


def test_the_written_index_is_used(directory, scans):
    scanned = imagenet.read_index(directory, "train")
    write_index(directory)
    assert same(imagenet.read_index(directory, "train"), scanned) and scans == [3]


def test_a_written_index_of_another_order_is_followed(directory):
    index = imagenet.read_index(directory, "train")
    order = np.random.default_rng(0).permutation(15)
    write_index(directory, shard=index.shard[order], offset=index.offset[order], label=index.labels[order])
    assert colors(imagenet.load(directory, 8)[0]) == index.labels[order].tolist()


def test_a_written_index_of_other_labels_is_noticed_when_reading(directory):
    path = write_index(directory, label=np.arange(1, 16) % 4)
    split = imagenet.read_index(directory, "train", 8)
    with pytest.raises(tf.errors.InvalidArgumentError, match="The label of the record of"):
        colors(split)
    path.unlink()
    assert colors(imagenet.read_index(directory, "train", 8)) == [index % 4 for index in range(15)]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"shard": np.repeat(np.arange(4), 4)[:15]}, "must speak of 3 shards. It has one numbered 3; remove the"),
        ({"shard": np.repeat(np.arange(-1, 2), 5)}, "must speak of 3 shards. It has one numbered -1; remove the"),
        ({"shard": np.repeat([0, 1], 8)[:15]}, "according to"),
        ({"offset": np.arange(15) * 100}, "according to"),
        ({"label": np.arange(14)}, "must hold as many shards as offsets and labels; remove the index"),
        ({"shard": np.array(["a"] * 15)}, "is no index of shards; remove the index"),
    ],
)
def test_a_written_index_that_does_not_fit_is_refused(directory, changes, match):
    path = write_index(directory, **changes)
    with pytest.raises(ValueError, match=match) as error:
        imagenet.load(directory)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 cut"])
def test_a_damaged_written_index_is_named(directory, content):
    path = write_index(directory)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} is no index of shards; remove the index, so that"):
        imagenet.load(directory)


def test_a_written_index_of_another_compression_is_named(directory):
    path = write_index(directory)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 10] = 99
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} is no index of shards; remove the index, so that"):
        imagenet.load(directory)


def test_a_shard_cut_after_the_index_was_written_is_named(directory):
    write_index(directory)
    path = shards(directory)[1]
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(ValueError, match=f"{path} has .* bytes, but .* according to"):
        imagenet.load(directory)


def test_a_scan_is_kept_beside_the_shards(directory, home, scans):
    told = []
    first = imagenet.read_index(directory, "train", progress=lambda *numbers: told.append(numbers))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert (directory / "imagenet2012-train.scan.npz").is_file() and not list(home.iterdir())
    again = imagenet.read_index(directory, "train", progress=lambda *numbers: told.append(numbers))
    assert same(first, again) and scans == [3] and len(told) == 3
    assert not list(directory.glob("*unfinished"))


def test_a_scan_of_other_shards_is_not_used(directory, scans):
    imagenet.read_index(directory, "train")
    path = shards(directory)[0]
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 2 * 10**9))
    imagenet.read_index(directory, "train")
    (directory / "dataset_info.json").unlink()
    path.write_bytes(shards(directory)[2].read_bytes())
    assert np.bincount(imagenet.read_index(directory, "train").shard).tolist() == [4, 6, 4]
    assert scans == [3, 3, 3]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut"])
def test_a_damaged_scan_is_made_again(directory, scans, content):
    first = imagenet.read_index(directory, "train")
    (directory / "imagenet2012-train.scan.npz").write_bytes(content)
    for _ in range(2):
        assert same(imagenet.read_index(directory, "train"), first)
    assert scans == [3, 3]


def test_a_read_only_directory_stays_as_it_is(directory, home, scans):
    before = sorted(directory.iterdir())
    directory.chmod(0o555)
    first = imagenet.read_index(directory, "train")
    assert same(imagenet.read_index(directory, "train"), first) and scans == [3]
    assert sorted(directory.iterdir()) == before
    [kept] = (home / ".cache" / "keras_resnet").iterdir()
    assert kept.name.endswith("-imagenet2012-train.scan.npz")


def test_a_scan_that_cannot_be_kept_is_used_all_the_same(directory, home, scans):
    (home / ".cache").write_text("no folder")
    directory.chmod(0o555)
    for _ in range(2):
        assert imagenet.read_index(directory, "train").labels.size == 15
    assert scans == [3, 3]


def test_the_real_sample(shared_data, scans):
    if not (shared_data / "tfds" / "imagenet2012").is_dir():
        pytest.skip(f"no imagenet2012 in {shared_data}/tfds")
    train, validation, class_names = imagenet.load(shared_data / "tfds", 32)
    assert (train.size, validation.size, len(class_names)) == (200, 100, 1000)
    assert class_names[0] == "n01440764" and class_names[835] == "n04355338"
    for index in range(train.size):
        assert train.origin(index)[0].startswith(class_names[train.labels[index]])
    batches = evaluation_batches(validation, batch_size=32)
    labels = np.concatenate([labels for _, labels in batches])
    assert labels[labels >= 0].tolist() == validation.labels.tolist()
