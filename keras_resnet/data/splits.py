"""Splits: labelled images with random access, in memory or in files, and how a sequence of indices becomes batches."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf

from keras_resnet.data.transforms import AUGMENTATIONS, PHOTOGRAPH_AUGMENTATIONS, Augmentation

# Explicit, because tf.data's own tuning can stall a pipeline for seconds when an iterator ends.
PARALLEL_CALLS = os.cpu_count() or 1


class Split(ABC):
    """Labelled images.

    Attributes:
        labels: int64 [size].
        augmentations: The augmentations that suit these images.
    """

    labels: np.ndarray
    augmentations: dict[str, Augmentation]

    @property
    def size(self) -> int:
        """Number of images."""
        return len(self.labels)

    @property
    @abstractmethod
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) in a batch."""

    @abstractmethod
    def part(self, start: int, stop: int) -> Split:
        """The images from `start` to before `stop`."""

    @abstractmethod
    def batches(
        self, elements: tf.data.Dataset, batch_size: int, augmentation: str, *, padding: int, drop_remainder: bool
    ) -> tf.data.Dataset:
        """Reads, augments and batches images.

        Args:
            elements: (index int64 [], draws float32 [draws of the augmentation]).
            batch_size: Images in a batch.
            augmentation: A key of `augmentations`.
            padding: Pixels on each side, where the augmentation pads.
            drop_remainder: Whether a smaller last batch is left out.

        Returns:
            Elements (images uint8 [batch, height, width, channels], labels int32 [batch]).
        """

    @abstractmethod
    def damaged(self) -> list[str]:
        """Paths of the images that cannot be decoded, found by decoding every one."""


@dataclass(frozen=True, eq=False)
class ArraySplit(Split):
    """Images of one size, in memory.

    Args:
        images: uint8 [size, height, width, channels].
        labels: int64 [size].

    Raises:
        ValueError: if the arrays have other types or shapes.
    """

    images: np.ndarray
    labels: np.ndarray

    augmentations = AUGMENTATIONS

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise ValueError(
                "`images` must be uint8 of shape [size, height, width, channels]. "
                f"Received: {self.images.dtype} of shape {list(self.images.shape)}"
            )
        if self.labels.dtype != np.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"`labels` must be int64 of shape [{len(self.images)}], one for each image. "
                f"Received: {self.labels.dtype} of shape {list(self.labels.shape)}"
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        _, height, width, channels = self.images.shape
        return height, width, channels

    @cached_property
    def tensors(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Images and labels, made once and eagerly: pipelines refer to them, none copies them into its graph."""
        with tf.init_scope(), tf.device("CPU:0"):
            return tf.constant(self.images), tf.constant(self.labels, tf.int32)

    def part(self, start: int, stop: int) -> ArraySplit:
        """The images from `start` to before `stop`, not copied."""
        return ArraySplit(self.images[start:stop], self.labels[start:stop])

    def batches(
        self, elements: tf.data.Dataset, batch_size: int, augmentation: str, *, padding: int, drop_remainder: bool
    ) -> tf.data.Dataset:
        """Batches the indices, then gathers and augments a batch at a time; see `Split.batches`."""
        images, labels = self.tensors
        augment = self.augmentations[augmentation].apply

        def gather(indices: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return augment(tf.gather(images, indices), draws, padding), tf.gather(labels, indices)

        return elements.batch(batch_size, drop_remainder).map(gather, num_parallel_calls=PARALLEL_CALLS)

    def damaged(self) -> list[str]:
        """Nothing: these images are decoded already."""
        return []


@dataclass(frozen=True, eq=False)
class FileSplit(Split):
    """JPEG and PNG files of any size, seen as square RGB images.

    Args:
        paths: One for each image.
        labels: int64 [size].
        image_size: Side of the squares, in pixels.
    """

    paths: tuple[str, ...]
    labels: np.ndarray
    image_size: int

    augmentations = PHOTOGRAPH_AUGMENTATIONS

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every view."""
        return self.image_size, self.image_size, 3

    def part(self, start: int, stop: int) -> FileSplit:
        """The files from `start` to before `stop`."""
        return FileSplit(self.paths[start:stop], self.labels[start:stop], self.image_size)

    def batches(
        self, elements: tf.data.Dataset, batch_size: int, augmentation: str, *, padding: int, drop_remainder: bool
    ) -> tf.data.Dataset:
        """Reads, decodes and augments images one by one in parallel, then batches them; see `Split.batches`."""
        with tf.init_scope(), tf.device("CPU:0"):
            paths, labels = tf.constant(self.paths), tf.constant(self.labels, tf.int32)
        augment = self.augmentations[augmentation].apply

        def read(index: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            image = augment(decode(paths[index]), draws, self.image_size)
            return tf.ensure_shape(image, self.image_shape), labels[index]

        return elements.map(read, num_parallel_calls=PARALLEL_CALLS).batch(batch_size, drop_remainder)

    def damaged(self) -> list[str]:
        """Paths of the images that cannot be decoded, found by decoding every one."""
        with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
            return [path for path, intact in zip(self.paths, pool.map(decodes, self.paths), strict=True) if not intact]


def decode(path: str | tf.Tensor) -> tf.Tensor:
    """uint8 [height, width, 3] of a JPEG or PNG file.

    Grey becomes RGB, transparency is dropped, and a rotation that a camera only noted down (EXIF) is ignored.
    """
    image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
    return tf.ensure_shape(image, [None, None, 3])


def decodes(path: str) -> bool:
    """Whether a file can be read and decoded to its end."""
    try:
        decode(path)
    except tf.errors.OpError:
        return False
    return True
