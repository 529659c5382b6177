"""Splits of encoded images: read and augmented one by one, then batched."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_resnet.data.splits import PARALLEL_CALLS, Split
from keras_resnet.data.tensorflow import center_crop
from keras_resnet.data.tensorflow.augmentation.encoded import augment
from keras_resnet.data.tensorflow.encoded_images import (
    UPRIGHT,
    DecodedImage,
    EncodedImage,
    Image,
    decode,
    has_full_resolution,
)

SAMPLE = 100
"""Images whose sizes tell how much memory the pixels of all will take."""
PIXELS = b"\x08"
"""The first byte of a serialized tensor, and of no image file."""


class EncodedSplit(Split):
    """Image files of any size, in batches of square RGB images.

    Attributes:
        image_size: Side of the squares, in pixels.
        cache: What stays in memory of an image once it was read: its file (`"encoded"`), its pixels (`"decoded"`; of an
            image so large that windows of it are decoded at a reduced resolution, its file), or nothing (`None`).
    """

    image_size: int
    cache: str | None

    kind = "encoded"

    @abstractmethod
    def read(self, index: tf.Tensor) -> tf.Tensor:
        """An encoded image, string []; usable in a graph."""

    def orientation(self, index: tf.Tensor) -> tf.Tensor | None:
        """How an image is to be turned, int32 []: 1 to 8 as in EXIF; `None` where no image is."""
        return None

    @abstractmethod
    def describe(self, index: int) -> str:
        """The place of an image that cannot be used, and the reason as far as it is known."""

    @abstractmethod
    def encoded_bytes(self) -> int:
        """Bytes of all encoded images together."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) in a batch."""
        return self.image_size, self.image_size, 3

    @property
    def view(self) -> str:
        """The test view, in words."""
        return center_crop.in_words(self.image_size)

    @cached_property
    def label_tensor(self) -> tf.Tensor:
        """The labels, made once and eagerly: pipelines refer to them, none copies them into its graph."""
        with tf.init_scope(), tf.device("CPU:0"):
            return tf.constant(self.labels, tf.int32)

    @cached_property
    def memory(self) -> tf.lookup.experimental.MutableHashTable:
        """The cache, by index; all pipelines of this split share it."""
        with tf.init_scope(), tf.device("CPU:0"):
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

    def cached_bytes(self) -> int:
        """Bytes that the cache will hold, about."""
        return self.encoded_bytes() if self.cache != "decoded" else self.size * self.pixels_bytes()

    def pixels_bytes(self) -> int:
        """Bytes of the pixels of an image, on the average of a sample."""
        sample = np.linspace(0, self.size - 1, min(self.size, SAMPLE), dtype=np.int64)
        shapes = [EncodedImage(self.read(tf.constant(index))).shape.numpy() for index in sample]
        return int(3 * np.mean(np.prod(shapes, axis=1)))

    def batches(
        self,
        elements: tf.data.Dataset,
        batch_size: int,
        augmentation: Sequence[str],
        *,
        padding: int,
        drop_remainder: bool,
    ) -> tf.data.Dataset:
        """Reads and augments images one by one in parallel, then batches them; see `Split.batches`."""
        labels = self.label_tensor

        @tf.autograph.experimental.do_not_convert
        def square(index: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            pixels = self.map_image(lambda image: augment(image, draws, augmentation, self.image_size), index)
            return tf.ensure_shape(pixels, self.image_shape), labels[index]

        # They stay in order, so a large image holds up the smaller ones after it: the cores need more to do.
        squares = elements.map(square, num_parallel_calls=2 * PARALLEL_CALLS, deterministic=True)
        return squares.batch(batch_size, drop_remainder)

    def map_images(self, function: Callable[[Image], Any]) -> tf.data.Dataset:
        """One pass over the images, in order.

        Args:
            function: From an image to a tensor, or a tuple of tensors.

        Returns:
            Elements (the function's value, label int32 []).
        """
        labels = self.label_tensor
        indices = tf.data.Dataset.range(self.size)

        @tf.autograph.experimental.do_not_convert
        def element(index: tf.Tensor) -> tuple[Any, tf.Tensor]:
            return self.map_image(function, index), labels[index]

        return indices.map(element, num_parallel_calls=2 * PARALLEL_CALLS, deterministic=True)

    def damaged(self) -> list[str]:
        """The images that cannot be used, found by reading and decoding every one."""

        @tf.autograph.experimental.do_not_convert
        def use(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # The shape, lest an optimization leaves the decoding out.
            return index, tf.shape(decode(self.read(index)))

        options = tf.data.Options()
        options.autotune.enabled = False
        usable = tf.data.Dataset.range(self.size).map(use, num_parallel_calls=PARALLEL_CALLS, deterministic=True)
        usable = usable.ignore_errors().with_options(options)
        indices = np.array([index for index, _ in usable.as_numpy_iterator()], np.int64)
        return [self.describe(index) for index in np.setdiff1d(np.arange(self.size), indices)]


@dataclass(frozen=True, eq=False)
class FileSplit(EncodedSplit):
    """Images in files of their own.

    Args:
        paths: One for each image.
        labels: int64 [size].
        image_size: Side of the squares, in pixels.
        cache: As in `EncodedSplit`.
        orientations: uint8 [size], how each image is to be turned: 1 to 8 as in EXIF. `None`: as they are stored.
    """

    paths: tuple[str, ...]
    labels: np.ndarray
    image_size: int
    cache: str | None = None
    orientations: np.ndarray | None = None

    @cached_property
    def path_tensor(self) -> tf.Tensor:
        """The paths, made once and eagerly; as bytes, for a name need not be UTF-8."""
        with tf.init_scope(), tf.device("CPU:0"):
            return tf.constant([os.fsencode(path) for path in self.paths])

    @cached_property
    def orientation_tensor(self) -> tf.Tensor | None:
        """The orientations, made once and eagerly; `None` where nothing is to be turned."""
        if self.orientations is None or (self.orientations == UPRIGHT).all():
            return None
        with tf.init_scope(), tf.device("CPU:0"):
            return tf.constant(self.orientations, tf.int32)

    def part(self, start: int, stop: int) -> FileSplit:
        """The files from `start` to before `stop`."""
        orientations = None if self.orientations is None else self.orientations[start:stop]
        return FileSplit(self.paths[start:stop], self.labels[start:stop], self.image_size, self.cache, orientations)

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """The bytes of a file."""
        return tf.io.read_file(self.path_tensor[index])

    def orientation(self, index: tf.Tensor) -> tf.Tensor | None:
        """How a file is to be turned."""
        return None if self.orientation_tensor is None else self.orientation_tensor[index]

    def describe(self, index: int) -> str:
        """The path of a file that cannot be used."""
        return f"{self.paths[index]}: damaged"

    def encoded_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(Path(path).stat().st_size for path in self.paths)
