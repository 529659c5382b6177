"""Records read one by one, from whole and from damaged shards."""

from __future__ import annotations

import functools
import itertools
import pickle
import re
import uuid
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.encoded_splits import DamagedImageError
from keras_resnet.data.order import permutation
from keras_resnet.data.tensorflow import pipelines
from keras_resnet.data.tensorflow.batches import evaluation_batches, training_batches
from keras_resnet.data.tensorflow.sources import read_record
from keras_resnet.data.tfrecords import frames, records
from keras_resnet.data.tfrecords.frames import FOOTER, HEADER
from keras_resnet.data.tfrecords.records import SCHEMAS, RecordSplit
from tiers import slow

COUNTS = (7, 12, 5)
SIZE, BATCH, DONE = sum(COUNTS), 4, 4
TFDS, OLDER = SCHEMAS


@functools.cache
def example(index, schema=TFDS, image=None):
    """A flat image of gray level 10 x index, of class index % 7."""
    if image is None:
        image = tf.io.encode_png(tf.fill([8 + index % 5, 9, 3], tf.constant(10 * index, tf.uint8))).numpy()
    texts = {schema.image: image, schema.file_name: f"{index}.png".encode()}
    feature = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text])) for name, text in texts.items()}
    label = tf.train.Int64List(value=[index % 7 + schema.first_label])
    feature[schema.label] = tf.train.Feature(int64_list=label)
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def write(path, examples):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for serialized in examples:
            writer.write(serialized)
    return str(path)


def write_shards(folder, schema=TFDS):
    counter = itertools.count()
    shards = [[example(next(counter), schema) for _ in range(count)] for count in COUNTS]
    return tuple(write(folder / f"shard-{number}", examples) for number, examples in enumerate(shards))


def index(paths, schema=TFDS):
    return RecordSplit(paths, *records.scan(paths, schema), 8, schema)


@pytest.fixture
def split(tmp_path) -> RecordSplit:
    """24 images in three shards, which carry their index as gray level."""
    return index(write_shards(tmp_path))


def read(split, indices, batch_size=5):
    elements = tf.data.Dataset.from_tensor_slices((np.asarray(indices, np.int64), np.zeros((len(indices), 0), "f")))
    batches = pipelines.batches(split, elements, batch_size, (), padding=0, drop_remainder=False)
    return (np.concatenate(parts) for parts in zip(*batches.as_numpy_iterator(), strict=True))


def indices(images):
    """Which images they are."""
    assert (images == images[:, :1, :1, :1]).all()
    return images[:, 0, 0, 0] // 10


def bounds(split, index):
    """Where a record begins and ends."""
    data = read_record(split.paths[split.shard[index]], split.offset[index]).numpy()
    return int(split.offset[index]), int(split.offset[index]) + HEADER + len(data) + FOOTER


def overwrite(path, start, content):
    with Path(path).open("r+b") as file:
        file.seek(start)
        file.write(content)


def flip(path, byte):
    with Path(path).open("r+b") as file:
        file.seek(byte)
        [value] = file.read(1)
        file.seek(byte)
        file.write(bytes([value ^ 16]))


def test_records_have_no_files_of_their_own(split):
    assert split.paths and split.image_files == () == split.part(0, 1).image_files


def test_a_record_read_alone_is_the_one_in_the_sequence(split):
    sequence = list(tf.data.TFRecordDataset(split.paths).as_numpy_iterator())
    assert split.size == len(sequence) == SIZE
    for place in np.random.default_rng(0).permutation(SIZE):
        path = split.paths[split.shard[place]]
        assert read_record(path, split.offset[place]).numpy() == sequence[place]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_images_and_labels_in_any_order(tmp_path, schema):
    split = index(write_shards(tmp_path, schema), schema)
    order = np.random.default_rng(2).integers(0, SIZE, 40)
    images, labels = read(split, order)
    assert images.shape == (40, 8, 8, 3) and images.dtype == np.uint8 and labels.dtype == np.int32
    assert indices(images).tolist() == order.tolist()
    assert labels.tolist() == (order % 7).tolist()
    np.testing.assert_array_equal(split.labels, np.arange(SIZE) % 7)
    assert records.find_schema(split.paths[0]) == schema
    assert split.origin(9) == ("9.png", None, 2)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_images_are_read_without_tensorflow_too(tmp_path, schema):
    split = index(write_shards(tmp_path, schema), schema)
    again = pickle.loads(pickle.dumps(split))
    for number in np.random.default_rng(2).integers(0, SIZE, 40).tolist():
        record = tf.train.Example.FromString(example(number, schema))
        expected = record.features.feature[schema.image].bytes_list.value[0]
        assert split.read(number) == again.read(number) == expected and split.orientation(number) == 1


def test_what_a_process_gets_of_a_split_is_small(split):
    before = pickle.dumps(split)
    list(read(split, [0]))
    assert split.kept and pickle.dumps(split) == before and not pickle.loads(before).kept


def test_shards_far_away_are_read(split):
    fsspec = pytest.importorskip("fsspec")
    bucket = fsspec.filesystem("memory")
    directory = f"memory://{uuid.uuid4().hex}"
    paths = tuple(f"{directory}/{number}" for number in range(len(COUNTS)))
    for path, local in zip(paths, split.paths, strict=True):
        bucket.pipe_file(path, Path(local).read_bytes())
    far = index(paths)
    assert [far.read(number) for number in range(SIZE)] == [split.read(number) for number in range(SIZE)]
    assert far.origin(9) == split.origin(9) and far.encoded_bytes() == split.encoded_bytes()
    bucket.pipe_file(paths[1], bucket.cat_file(paths[1])[:-5])
    with pytest.raises(DamagedImageError, match=r"truncated record at"):
        far.read(COUNTS[0] + COUNTS[1] - 1)
    bucket.rm_file(paths[1])
    with pytest.raises(FileNotFoundError):
        far.read(COUNTS[0])


def test_a_long_record_far_away_is_read_in_two_parts(split, monkeypatch):
    asked = []
    monkeypatch.setattr(frames.storage, "is_url", lambda path: True)
    monkeypatch.setattr(frames, "AT_ONCE", 50)
    monkeypatch.setattr(
        frames.storage,
        "read_part",
        lambda path, *part: asked.append(part) or Path(path).read_bytes()[part[0] : sum(part)],
    )
    start, stop = bounds(split, 9)
    assert frames.read(split.paths[1], start) == example(9)
    assert asked == [(start, 50), (start + 50, stop - start - 50)]


def test_a_part_holds_the_records_between(split):
    part = split.part(5, 20)
    images, labels = read(part, np.arange(15))
    assert indices(images).tolist() == list(range(5, 20))
    assert part.size == 15 and labels.tolist() == split.labels[5:20].tolist() == part.labels.tolist()
    assert indices(next(read(part.part(3, 4), [0]))).tolist() == [8]


def test_the_scan_tells_its_progress(split):
    told = []
    shard, offset, labels = records.scan(split.paths, TFDS, lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert (shard.dtype, offset.dtype, labels.dtype) == (np.int32, np.int64, np.int64)
    assert np.bincount(shard).tolist() == list(COUNTS)


def first_batches(split, iteration, count):
    options = {"global_batch_size": BATCH, "augmentation": (), "seed": 3}
    batches = training_batches(split, first_iteration=iteration, **options)
    return np.concatenate([indices(images.numpy()) for images, _ in batches.take(count)]).tolist()


@pytest.fixture
def half_consumed(split, noise) -> RecordSplit:
    """Records, of which those that come first in the second epoch are garbage."""
    for place in permutation(SIZE, seed=3, epoch=1)[: DONE * BATCH]:
        start, stop = bounds(split, place)
        overwrite(split.paths[split.shard[place]], start, noise.bytes(stop - start))
    return split


def test_a_run_that_continues_reads_only_what_is_to_come(half_consumed):
    second = SIZE // BATCH
    read = first_batches(half_consumed, second + DONE, second - DONE)
    assert read == permutation(SIZE, seed=3, epoch=1)[DONE * BATCH :].tolist()


def test_what_is_garbage_would_be_noticed(half_consumed):
    with pytest.raises(tf.errors.DataLossError):
        first_batches(half_consumed, SIZE // BATCH + DONE - 1, 1)


@pytest.mark.parametrize("hosts", [2, *slow([1, 4])])
def test_hosts_together_read_every_image_once_in_an_epoch(split, hosts):
    options = {"global_batch_size": BATCH, "augmentation": (), "seed": 5, "hosts": hosts}
    per_host = []
    for host in range(hosts):
        batches = training_batches(split, host=host, **options).take(SIZE // BATCH)
        per_host.append(np.stack([indices(images.numpy()) for images, _ in batches]))
    order = np.concatenate(per_host, axis=1).ravel()
    assert order.tolist() == permutation(SIZE, seed=5, epoch=0).tolist()


def test_a_host_reads_no_image_of_another(split, noise):
    order = permutation(SIZE, seed=5, epoch=0).reshape(-1, 2, BATCH // 2)
    for place in order[:, 1].ravel():
        start, stop = bounds(split, place)
        overwrite(split.paths[split.shard[place]], start, noise.bytes(stop - start))
    options = {"global_batch_size": BATCH, "augmentation": (), "seed": 5, "hosts": 2}
    read = [indices(images.numpy()) for images, _ in training_batches(split, host=0, **options).take(len(order))]
    np.testing.assert_array_equal(np.stack(read), order[:, 0])


@pytest.mark.parametrize("hosts", [1, 3])
def test_evaluation_counts_every_image_once_and_in_order(split, hosts):
    found, labels = [], []
    for host in range(hosts):
        for images, classes in evaluation_batches(split, batch_size=15, host=host, hosts=hosts).as_numpy_iterator():
            real = classes >= 0
            found += indices(images[real]).tolist()
            labels += classes[real].tolist()
    assert found == list(range(SIZE)) and labels == split.labels.tolist()


@pytest.mark.parametrize("place", ["length", "data", *slow(["its checksum", "checksum of the data"])])
def test_a_flipped_bit_is_noticed_and_named(split, place):
    index, path = 9, split.paths[1]
    start, stop = bounds(split, index)
    pixels = start + Path(path).read_bytes()[start:].index(b"IDAT") + 8
    bytes_of = {"length": start, "its checksum": start + 8, "data": pixels, "checksum of the data": stop - 1}
    flip(path, bytes_of[place])
    with pytest.raises(tf.errors.DataLossError):
        list(read(split, [index]))
    begin = start + HEADER if "data" in place else start
    with pytest.raises(DamagedImageError, match=rf"{path} is damaged or cut; .* \(corrupted record at {begin}\)"):
        split.read(index)
    others = np.delete(np.arange(SIZE), index)
    assert indices(next(read(split, others))).tolist() == others.tolist()
    [named] = split.damaged()
    name = "" if place == "length" else " (9.png)"
    assert named == f"{path}, byte {start}{name}: damaged"
    with pytest.raises(ValueError, match=rf"{path} is damaged or cut; get it again \(corrupted record at {begin}\)"):
        records.scan(split.paths, TFDS)


@pytest.mark.parametrize("left", [1, HEADER, -1, *slow([HEADER - 1, HEADER + 30, -FOOTER])])
def test_a_cut_shard_is_named_with_the_byte(split, left):
    path = split.paths[1]
    start, stop = bounds(split, 11)
    with Path(path).open("r+b") as file:
        file.truncate(start + left if left > 0 else stop + left)
    with pytest.raises(ValueError, match=rf"{path} is damaged or cut; get it again \(truncated record at {start}\b"):
        records.scan(split.paths[:2], TFDS)
    named = [re.split(r" \(|: ", name)[0] for name in split.damaged()]
    assert named == [f"{path}, byte {offset}" for offset in split.offset[11:19]]


def test_an_empty_shard_is_named(split, tmp_path):
    (tmp_path / "shard-2").write_bytes(b"")
    with pytest.raises(ValueError, match=f"{split.paths[2]} is empty"):
        records.scan(split.paths, TFDS)


def test_a_shard_that_vanished_is_named(split, tmp_path):
    (tmp_path / "shard-2").unlink()
    damaged = split.damaged()
    assert len(damaged) == COUNTS[2] and all(split.paths[2] in named for named in damaged)


@pytest.mark.parametrize("content", [b"no image", b""])
def test_a_whole_record_of_a_damaged_image_is_named(tmp_path, content):
    split = index((write(tmp_path / "shard", [example(0), example(1, image=content), example(2)]),))
    assert split.damaged() == [f"{split.paths[0]}, byte {split.offset[1]} (1.png): damaged"]
    with pytest.raises(tf.errors.InvalidArgumentError):
        list(read(split, [0, 1, 2]))


def test_whole_records_are_not_damaged(split):
    assert split.damaged() == []


def test_a_record_of_another_label_than_in_the_index_is_named(split):
    labels = split.labels.copy()
    labels[8] = 5
    wrong = RecordSplit(split.paths, split.shard, split.offset, labels, 8)
    with pytest.raises(tf.errors.InvalidArgumentError, match="The label of the record of"):
        list(read(wrong, [8]))
    message = f"The label of the record of {split.paths[1]} at byte {split.offset[8]} is 1 but in the index 5"
    with pytest.raises(DamagedImageError, match=message):
        wrong.read(8)
    [named] = wrong.damaged()
    assert named.startswith(f"{split.paths[1]}, byte {split.offset[8]} (8.png): its label is 1, but 5 in the index")


def test_an_unknown_schema_is_refused(tmp_path):
    text = tf.train.Feature(bytes_list=tf.train.BytesList(value=[b""]))
    unknown = tf.train.Example(features=tf.train.Features(feature={"text": text, "lang": text}))
    path = write(tmp_path / "shard", [unknown.SerializeToString()])
    with pytest.raises(ValueError, match=f"{path} must have the features 'image' with 'label' or .* have lang, text$"):
        records.find_schema(path)


def test_a_record_of_another_schema_is_refused(tmp_path):
    path = write(tmp_path / "shard", [example(0), example(1, OLDER)])
    with pytest.raises(ValueError, match=f"Every record of {path} must have one 'label'"):
        records.scan([path], records.find_schema(path))


@pytest.mark.parametrize("content", [b"", b"hello", b"x" * 1000])
def test_a_file_without_records_is_refused(tmp_path, content):
    (tmp_path / "shard").write_bytes(content)
    with pytest.raises(ValueError, match=f"{tmp_path / 'shard'} does not begin with a whole record of an image"):
        records.find_schema(str(tmp_path / "shard"))


@pytest.mark.parametrize("name", ["shard", "offset", "labels"])
def test_arrays_of_another_kind_are_refused(split, name):
    arrays = {"shard": split.shard, "offset": split.offset, "labels": split.labels}
    arrays[name] = arrays[name].astype(np.int16)
    with pytest.raises(ValueError, match=rf"`{name}` must be int\d\d of shape \[24\].* Received: int16"):
        RecordSplit(split.paths, **arrays, image_size=8)


def test_every_image_of_the_real_sample(shared_data):
    paths = tuple(map(str, sorted(shared_data.glob("tfds/imagenet2012/*/imagenet2012-*.tfrecord-*"))))
    if not paths:
        pytest.skip(f"no imagenet2012 in {shared_data}/tfds")
    split = index(paths)
    sequence = list(tf.data.TFRecordDataset(paths).as_numpy_iterator())
    order = np.random.default_rng(0).permutation(split.size)
    for place in order[:50]:
        assert read_record(paths[split.shard[place]], split.offset[place]).numpy() == sequence[place]
    assert len(sequence) == split.size and split.damaged() == []
    assert split.labels.tolist() == [
        tf.train.Example.FromString(record).features.feature["label"].int64_list.value[0] for record in sequence
    ]
