"""Splits of encoded photographs: read one by one, seen through a view, then batched."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf

from keras_resnet.data.photographs import VIEWS, decode, evaluation_view
from keras_resnet.data.splits import PARALLEL_CALLS, Split


class PhotographSplit(Split):
    """JPEG and PNG images of any size, seen as square RGB images.

    Attributes:
        image_size: Side of the squares, in pixels.
        cache: Whether the encoded images stay in memory once they were read.
    """

    image_size: int
    cache: bool

    augmentations = VIEWS

    @abstractmethod
    def read(self, index: tf.Tensor) -> tf.Tensor:
        """An encoded image, string []; usable in a graph."""

    @abstractmethod
    def describe(self, index: int) -> str:
        """Where an image that cannot be used lies, and what is known of the reason."""

    @abstractmethod
    def encoded_bytes(self) -> int:
        """Bytes of all encoded images together."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every view."""
        return self.image_size, self.image_size, 3

    @property
    def view(self) -> str:
        """What evaluation sees of an image."""
        return evaluation_view(self.image_size)

    @cached_property
    def label_tensor(self) -> tf.Tensor:
        """The labels, made once and eagerly: pipelines refer to them, none copies them into its graph."""
        with tf.init_scope(), tf.device("CPU:0"):
            return tf.constant(self.labels, tf.int32)

    @cached_property
    def memory(self) -> tf.lookup.experimental.MutableHashTable:
        """The encoded images that were read, by index; all pipelines of this split share it."""
        with tf.init_scope(), tf.device("CPU:0"):
            return tf.lookup.experimental.MutableHashTable(tf.int64, tf.string, default_value="")

    def encoded(self, index: tf.Tensor) -> tf.Tensor:
        """What `read` gives; with `cache`, from memory if it was read before."""
        if not self.cache:
            return self.read(index)
        found = self.memory.lookup(index)

        def first_time() -> tf.Tensor:
            encoded = self.read(index)
            with tf.control_dependencies([self.memory.insert(index, encoded)]):
                return tf.identity(encoded)

        return tf.cond(tf.strings.length(found) > 0, lambda: found, first_time)

    def batches(
        self, elements: tf.data.Dataset, batch_size: int, augmentation: str, *, padding: int, drop_remainder: bool
    ) -> tf.data.Dataset:
        """Reads and augments images one by one in parallel, then batches them; see `Split.batches`."""
        see = self.augmentations[augmentation].apply
        labels = self.label_tensor

        def view(index: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return see(self.encoded(index), draws, self.image_size), labels[index]

        # They stay in order, so a large photograph holds up the smaller ones after it: the cores need more to do.
        views = elements.map(view, num_parallel_calls=2 * PARALLEL_CALLS, deterministic=True)
        return views.batch(batch_size, drop_remainder)

    def damaged(self) -> list[str]:
        """The images that cannot be used, found by reading and decoding every one."""

        def use(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # The shape is asked for so that nothing leaves the decoding out.
            return index, tf.shape(decode(self.read(index)))

        options = tf.data.Options()
        options.autotune.enabled = False
        usable = tf.data.Dataset.range(self.size).map(use, num_parallel_calls=PARALLEL_CALLS, deterministic=True)
        usable = usable.ignore_errors().with_options(options)
        indices = np.array([index for index, _ in usable.as_numpy_iterator()], np.int64)
        return [self.describe(index) for index in np.setdiff1d(np.arange(self.size), indices)]


@dataclass(frozen=True, eq=False)
class FileSplit(PhotographSplit):
    """Photographs in files of their own.

    Args:
        paths: One for each image.
        labels: int64 [size].
        image_size: Side of the squares, in pixels.
        cache: Whether the files stay in memory once they were read.
    """

    paths: tuple[str, ...]
    labels: np.ndarray
    image_size: int
    cache: bool = False

    @cached_property
    def path_tensor(self) -> tf.Tensor:
        """The paths, made once and eagerly."""
        with tf.init_scope(), tf.device("CPU:0"):
            return tf.constant(self.paths)

    def part(self, start: int, stop: int) -> FileSplit:
        """The files from `start` to before `stop`."""
        return FileSplit(self.paths[start:stop], self.labels[start:stop], self.image_size, self.cache)

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """The bytes of a file."""
        return tf.io.read_file(self.path_tensor[index])

    def describe(self, index: int) -> str:
        """The path of a file that cannot be used."""
        return f"{self.paths[index]}: damaged"

    def encoded_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(tf.io.gfile.stat(path).length for path in self.paths)
