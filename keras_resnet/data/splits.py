"""Splits: labelled images with random access, and how a sequence of indices becomes batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf

from keras_resnet.data.tensorflow.augmentation.fixed_size import augment
from keras_resnet.facts.augmentation import Images
from keras_resnet.host import processors

# Explicit, because tf.data's own tuning can stall a pipeline for seconds when an iterator ends.
PARALLEL_CALLS = processors.count()


class Split(ABC):
    """Labelled images.

    Attributes:
        labels: int64 [size].
        kind: Of the images, which decides the operations of an augmentation that suit them.
    """

    labels: np.ndarray
    kind: Images

    @property
    def size(self) -> int:
        """Number of images."""
        return len(self.labels)

    @property
    @abstractmethod
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) in a batch."""

    @property
    @abstractmethod
    def view(self) -> str:
        """The test view, in words."""

    @abstractmethod
    def part(self, start: int, stop: int) -> Split:
        """The images from `start` to before `stop`."""

    @abstractmethod
    def batches(
        self,
        elements: tf.data.Dataset,
        batch_size: int,
        augmentation: Sequence[str],
        *,
        padding: int,
        drop_remainder: bool,
    ) -> tf.data.Dataset:
        """Reads, augments and batches images.

        Args:
            elements: (index int64 [], draws float32 [draws of the augmentation]).
            batch_size: Images in a batch.
            augmentation: Names of operations that suit the images.
            padding: Pixels on each side, for `pad-crop`.
            drop_remainder: Whether a smaller last batch is left out.

        Returns:
            Elements (images uint8 [batch, height, width, channels], labels int32 [batch]).
        """

    @abstractmethod
    def damaged(self) -> list[str]:
        """The images that cannot be decoded, and why, found by decoding every one."""


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

    kind = "fixed-size"
    view = "whole image"

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
        self,
        elements: tf.data.Dataset,
        batch_size: int,
        augmentation: Sequence[str],
        *,
        padding: int,
        drop_remainder: bool,
    ) -> tf.data.Dataset:
        """Batches the indices, then gathers and augments a batch at a time; see `Split.batches`."""
        images, labels = self.tensors

        @tf.autograph.experimental.do_not_convert  # saves most of the time that tracing takes
        def gather(indices: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return augment(tf.gather(images, indices), draws, augmentation, padding), tf.gather(labels, indices)

        return elements.batch(batch_size, drop_remainder).map(gather, num_parallel_calls=PARALLEL_CALLS)

    def damaged(self) -> list[str]:
        """Nothing: these images are decoded already."""
        return []
