"""Splits: labelled images with random access, of which `data.tensorflow` and `data.grain` make batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from keras_resnet.facts.augmentation import Images
from keras_resnet.host import processors

PARALLEL_CALLS = processors.count()
"""Images that are read at once. Explicit, as tf.data's own tuning can stall a pipeline for seconds at its end."""


class Split(ABC):
    """Labelled images.

    Attributes:
        labels: int64 [size].
        kind: Of the images, which decides the operations of an augmentation that suit them.
        image_files: The file of each image; empty where images have none of their own.
    """

    labels: np.ndarray
    kind: Images
    image_files: tuple[str, ...] = ()

    @cached_property
    def kept(self) -> dict[str, Any]:
        """What a framework keeps of these images while they are used, such as its tensors: empty, and never pickled."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        """The arguments alone, so that another process gets as little as there can be."""
        return {name: value for name, value in self.__dict__.items() if name != "kept"}

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

    def part(self, start: int, stop: int) -> ArraySplit:
        """The images from `start` to before `stop`, not copied."""
        return ArraySplit(self.images[start:stop], self.labels[start:stop])

    def damaged(self) -> list[str]:
        """Nothing: these images are decoded already."""
        return []
