"""Encoded images as tf.data reads them: one source for each kind of split, usable in a graph."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from keras_resnet.data.encoded_splits import EncodedSplit, FileSplit
from keras_resnet.data.picture_files.exif import UPRIGHT
from keras_resnet.data.tensorflow.encoded_images import DecodedImage, EncodedImage, Image, has_full_resolution
from keras_resnet.data.tfrecords.records import RecordSplit

PIXELS = b"\x08"
"""The first byte of a serialized tensor, and of no image file."""


@contextmanager
def _eager() -> Iterator[None]:
    """Makes tensors once and eagerly: pipelines refer to them, none copies them into its graph."""
    with tf.init_scope(), tf.device("CPU:0"):
        yield


class Source(ABC):
    """Reads the images of an encoded split, and keeps what is to be kept.

    Args:
        split: The images.
    """

    def __init__(self, split: EncodedSplit) -> None:
        # Not the split itself, which keeps this: what it has in memory is to go with it.
        self.image_size, self.cache = split.image_size, split.cache
        with _eager():
            self.labels = tf.constant(split.labels, tf.int32)

    @abstractmethod
    def read(self, index: tf.Tensor) -> tf.Tensor:
        """An encoded image, string []."""

    def orientation(self, index: tf.Tensor) -> tf.Tensor | None:
        """How an image is to be turned, int32 []: 1 to 8 as in EXIF; `None` where no image is."""
        return None

    @cached_property
    def memory(self) -> tf.lookup.experimental.MutableHashTable:
        """The cache, by index; all pipelines of the split share it."""
        with _eager():
            return tf.lookup.experimental.MutableHashTable(tf.int64, tf.string, default_value="")

    def fetch(self, index: tf.Tensor) -> tf.Tensor:
        """The file of an image, or its pixels as a serialized tensor; from memory where there is a cache, string []."""
        if not self.cache:
            return self.read(index)
        found = self.memory.lookup(index)

        def first_time() -> tf.Tensor:
            kept = self.keep(self.read(index), self.orientation(index))
            with tf.control_dependencies([self.memory.insert(index, kept)]):
                return tf.identity(kept)

        return tf.cond(tf.strings.length(found) > 0, lambda: found, first_time)

    def keep(self, content: tf.Tensor, orientation: tf.Tensor | None = None) -> tf.Tensor:
        """The content of the cache for a file."""
        if self.cache == "encoded":
            return content
        image = EncodedImage(content, orientation)
        full = has_full_resolution(image.shape, self.image_size)
        return tf.cond(full, lambda: tf.io.serialize_tensor(image.whole()), lambda: content)

    def map_image(self, function: Callable[[Image], Any], index: tf.Tensor) -> Any:
        """The function of an image, whatever the cache holds of it; the pixels are the same."""
        fetched, orientation = self.fetch(index), self.orientation(index)
        if self.cache != "decoded":
            return function(EncodedImage(fetched, orientation))
        return tf.cond(
            tf.strings.substr(fetched, 0, 1) == PIXELS,
            lambda: function(DecodedImage(tf.ensure_shape(tf.io.parse_tensor(fetched, tf.uint8), [None, None, 3]))),
            lambda: function(EncodedImage(fetched, orientation)),
        )


class FileSource(Source):
    """Reads files."""

    def __init__(self, split: FileSplit) -> None:
        super().__init__(split)
        turned = split.orientations is not None and (split.orientations != UPRIGHT).any()
        with _eager():
            # As bytes, for a name need not be UTF-8.
            self.paths = tf.constant([os.fsencode(path) for path in split.paths])
            self.orientations = tf.constant(split.orientations, tf.int32) if turned else None

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """The bytes of a file."""
        return tf.io.read_file(self.paths[index])

    def orientation(self, index: tf.Tensor) -> tf.Tensor | None:
        """How a file is to be turned."""
        return None if self.orientations is None else self.orientations[index]


class RecordSource(Source):
    """Reads records, and checks their checksums, their schema and their labels."""

    def __init__(self, split: RecordSplit) -> None:
        super().__init__(split)
        self.schema = split.schema
        with _eager():
            self.paths, self.shard, self.offset = map(tf.constant, (split.paths, split.shard, split.offset))

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """The encoded image of a record, whose label is compared with that of the split."""
        path, start = self.paths[self.shard[index]], self.offset[index]
        image, label = self.schema.image, self.schema.label
        features = {image: tf.io.FixedLenFeature([], tf.string), label: tf.io.FixedLenFeature([], tf.int64)}
        record = tf.io.parse_single_example(read_record(path, start), features)
        found, expected = tf.cast(record[label], tf.int32) - self.schema.first_label, self.labels[index]
        told = ["The label of the record of", path, "at byte", start, "is", found, "but in the index", expected]
        with tf.control_dependencies([tf.debugging.Assert(found == expected, told)]):
            return tf.identity(record[image])


class PythonSource(Source):
    """Reads images of any other kind as the split itself does."""

    def __init__(self, split: EncodedSplit) -> None:
        super().__init__(split)

        # Functions of their own, as outside of one TensorFlow calls Python with other arguments.
        @tf.function(input_signature=[tf.TensorSpec([], tf.int64)], autograph=False)
        def read(index: tf.Tensor) -> tf.Tensor:
            content = tf.numpy_function(lambda index: split.read(int(index)), [index], tf.string, stateful=False)
            return tf.ensure_shape(content, [])

        @tf.function(input_signature=[tf.TensorSpec([], tf.int64)], autograph=False)
        def orientation(index: tf.Tensor) -> tf.Tensor:
            turned = tf.numpy_function(
                lambda index: np.int32(split.orientation(int(index))), [index], tf.int32, stateful=False
            )
            return tf.ensure_shape(turned, [])

        self._read, self._orientation = read, orientation

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """What the split reads."""
        return self._read(tf.cast(index, tf.int64))

    def orientation(self, index: tf.Tensor) -> tf.Tensor | None:
        """What the split says."""
        return self._orientation(tf.cast(index, tf.int64))


SOURCES: dict[type[EncodedSplit], Callable[[Any], Source]] = {
    FileSplit: FileSource,
    RecordSplit: RecordSource,
    EncodedSplit: PythonSource,
}
"""The source of a kind of split; the first kind that a split is of counts."""


def source(split: EncodedSplit) -> Source:
    """The source of a split: always the same, so that all pipelines of the split share its tensors and its cache."""
    if "source" not in split.kept:
        split.kept["source"] = next(make for kind, make in SOURCES.items() if isinstance(split, kind))(split)
    found: Source = split.kept["source"]
    return found


def read_record(path: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    """The data of the record that begins at a byte of a shard, string []; usable in a graph."""
    # Without a buffer exactly the record is read; of 64 KiB and 256 KiB, neither was faster.
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path], compression_type="", buffer_size=tf.constant(0, tf.int64), byte_offsets=[offset]
    )
    records = tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))
    return records.take(1).get_single_element()
