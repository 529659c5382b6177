"""Images in TFRecord shards with random access: the beginning of each record is known, so any one is read alone.

Thus the order of the images is a function of (seed, epoch, position) here too, and a run that continues, or one host of
several, reads nothing but its own images.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from keras_resnet.data.encoded_splits import EncodedSplit
from keras_resnet.data.splits import PARALLEL_CALLS

HEADER, FOOTER = 12, 4
"""Bytes of a record before its data (the length and its checksum) and after (the checksum of the data)."""

Progress = Callable[[int, int], None]
"""Called with how much is done and how much there is."""


@dataclass(frozen=True)
class Schema:
    """Names of the features of a record."""

    image: str
    """The encoded image."""
    label: str
    file_name: str
    class_name: str = ""
    """Empty where records do not hold the name of their class."""
    first_label: int = 0
    """The label of the first class."""


SCHEMAS = (
    Schema("image", "label", "file_name"),
    Schema("image/encoded", "image/class/label", "image/filename", "image/class/synset", first_label=1),
)
"""tensorflow-datasets' imagenet2012, and TensorFlow's older scripts."""


@dataclass(frozen=True, eq=False)
class RecordSplit(EncodedSplit):
    """Encoded images in TFRecord shards.

    A record is read when its image is wanted, and its checksum, its schema and its label are checked: the label of
    another record would never crash, only ruin the training.

    Args:
        paths: The shards.
        shard: int32 [size], index into `paths`.
        offset: int64 [size], the byte at which the record begins in its shard.
        labels: int64 [size], zero-based.
        image_size: Side of the squares, in pixels.
        schema: Of every record.
        cache: As in `EncodedSplit`.

    Raises:
        ValueError: if the arrays have other types or shapes.
    """

    paths: tuple[str, ...]
    shard: np.ndarray
    offset: np.ndarray
    labels: np.ndarray
    image_size: int
    schema: Schema = SCHEMAS[0]
    cache: str | None = None

    def __post_init__(self) -> None:
        for name, dtype in {"shard": np.int32, "offset": np.int64, "labels": np.int64}.items():
            array = getattr(self, name)
            if array.dtype != dtype or array.shape != (len(self.labels),):
                raise ValueError(
                    f"`{name}` must be {np.dtype(dtype)} of shape [{len(self.labels)}], one for each image. "
                    f"Received: {array.dtype} of shape {list(array.shape)}"
                )

    @cached_property
    def tensors(self) -> tuple[tf.Tensor, ...]:
        """Paths, shard and offset, made once and eagerly: pipelines refer to them."""
        with tf.init_scope(), tf.device("CPU:0"):
            return tf.constant(self.paths), tf.constant(self.shard), tf.constant(self.offset)

    def part(self, start: int, stop: int) -> RecordSplit:
        """The records from `start` to before `stop`."""
        arrays = (array[start:stop] for array in (self.shard, self.offset, self.labels))
        return RecordSplit(self.paths, *arrays, self.image_size, self.schema, self.cache)

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """The encoded image of a record, whose label is compared with the one given here."""
        paths, shard, offset = self.tensors
        path, start = paths[shard[index]], offset[index]
        image, label = self.schema.image, self.schema.label
        features = {image: tf.io.FixedLenFeature([], tf.string), label: tf.io.FixedLenFeature([], tf.int64)}
        record = tf.io.parse_single_example(read_record(path, start), features)
        found, expected = tf.cast(record[label], tf.int32) - self.schema.first_label, self.label_tensor[index]
        told = ["The label of the record of", path, "at byte", start, "is", found, "but in the index", expected]
        with tf.control_dependencies([tf.debugging.Assert(found == expected, told)]):
            return tf.identity(record[image])

    def describe(self, index: int) -> str:
        """The shard, the byte and, as far as it can be read, the file name of a record that cannot be used."""
        name, _, label = self.origin(index)
        place = f"{self.paths[self.shard[index]]}, byte {self.offset[index]}" + (f" ({name})" if name else "")
        if label in (None, self.labels[index]):
            return f"{place}: damaged"
        return f"{place}: its label is {label}, but {self.labels[index]} in the index, which is to be removed"

    def encoded_bytes(self) -> int:
        """Bytes of all shards that hold an image of this split."""
        return sum(tf.io.gfile.stat(self.paths[shard]).length for shard in np.unique(self.shard))

    def origin(self, index: int) -> tuple[str | None, str | None, int | None]:
        """File name, class name and zero-based label that a record holds, as far as it has them and can be read.

        The checksums are not looked at: of a damaged record, too, the name often remains.
        """
        try:
            with tf.io.gfile.GFile(self.paths[self.shard[index]], "rb") as file:
                file.seek(int(self.offset[index]))
                length = int.from_bytes(file.read(HEADER)[:8], "little")
                if length > file.size():
                    return None, None, None
                features = tf.train.Example.FromString(file.read(length)).features.feature
        except (tf.errors.OpError, DecodeError):
            return None, None, None
        schema = self.schema
        texts = [list(features[key].bytes_list.value) for key in (schema.file_name, schema.class_name)]
        label = features[schema.label].int64_list.value
        name, class_name = (text[0].decode(errors="replace") if text else None for text in texts)
        return name, class_name, label[0] - schema.first_label if label else None


def read_record(path: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    """The data of the record that begins at a byte of a shard, string []; usable in a graph."""
    # Without a buffer exactly the record is read; of 64 KiB and 256 KiB, neither was faster.
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path], compression_type="", buffer_size=tf.constant(0, tf.int64), byte_offsets=[offset]
    )
    records = tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))
    return records.take(1).get_single_element()


def find_schema(path: str) -> Schema:
    """The schema of a shard's first record.

    Raises:
        ValueError: if the record is damaged, or its schema is none of `SCHEMAS`.
    """
    try:
        record = read_record(tf.constant(path), tf.constant(0, tf.int64)).numpy()
        names = set(tf.train.Example.FromString(record).features.feature)
    except (tf.errors.OpError, DecodeError) as error:
        raise ValueError(f"{path} does not begin with a whole record of an image") from error
    for schema in SCHEMAS:
        if {schema.image, schema.label} <= names:
            return schema
    known = " or ".join(f"'{schema.image}' with '{schema.label}'" for schema in SCHEMAS)
    raise ValueError(f"The records of {path} must have the features {known}. They have {', '.join(sorted(names))}")


def scan(
    paths: Sequence[str], schema: Schema, progress: Progress | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The beginning and the label of every record, found by reading the shards to their ends.

    Args:
        paths: The shards.
        schema: Of their records.
        progress: Called after every shard with the number of shards scanned and of all.

    Returns:
        shard int32 [records], offset int64 [records], zero-based labels int64 [records], in the order of the shards.

    Raises:
        ValueError: if a shard is empty or cut, a record is damaged, or it has another schema.
    """
    parts = []
    for number, (lengths, labels) in enumerate(_scanned(paths, schema)):
        ends = np.cumsum(lengths.astype(np.int64) + HEADER + FOOTER)
        parts.append((np.full(len(ends), number, np.int32), np.append(0, ends[:-1]), labels - schema.first_label))
        if progress:
            progress(number + 1, len(paths))
    shard, offset, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
    return shard, offset, labels


def _scanned(paths: Sequence[str], schema: Schema) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    pool = ThreadPoolExecutor(PARALLEL_CALLS)
    try:
        yield from pool.map(partial(_scan_shard, label=schema.label), paths)
    finally:
        # After a fault, the shards that nobody has begun with are left alone.
        pool.shutdown(cancel_futures=True)


def _scan_shard(path: str, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Length int32 [records] and label int64 [records] of each record of a shard."""
    size = tf.io.gfile.stat(path).length
    if not size:
        raise ValueError(f"{path} is empty; get it again")
    try:
        lengths, labels = _lengths_and_labels(tf.constant(path), label)
    except tf.errors.DataLossError as error:
        # TensorFlow says "corrupted record at N" or "truncated record at N", among much else, and not of which file.
        found = re.search(r"\w+ record at \d+", error.message)
        raise ValueError(f"{path} is damaged or cut; get it again ({found[0] if found else error.message})") from error
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(f"Every record of {path} must have one '{label}'. Some have not; get it again") from error
    end = tf.reduce_sum(tf.cast(lengths, tf.int64) + HEADER + FOOTER).numpy()
    # A shard that ends within the header of a record is whole to TensorFlow.
    if end != size:
        raise ValueError(f"{path} is damaged or cut; get it again (truncated record at {end})")
    return lengths.numpy(), labels.numpy()


@tf.function
def _lengths_and_labels(path: tf.Tensor, label: str) -> tuple[tf.Tensor, tf.Tensor]:
    def measure(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        parsed = tf.io.parse_single_example(record, {label: tf.io.FixedLenFeature([], tf.int64)})
        return tf.strings.length(record), parsed[label]

    # One batch of everything: no record is ever touched from Python.
    return tf.data.TFRecordDataset(path).map(measure).batch(tf.int32.max).get_single_element()
