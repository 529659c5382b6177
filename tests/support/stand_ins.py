"""Images in place of data sets that are not at hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_resnet.config.recipe import Recipe
from keras_resnet.data.datasets.loading import Data
from keras_resnet.data.encoded_splits import EncodedSplit
from keras_resnet.data.splits import ArraySplit, Split
from keras_resnet.facts import datasets


@dataclass(frozen=True, eq=False)
class EncodedInMemory(EncodedSplit):
    """Photographs in memory, as files would hold them."""

    encoded: tuple[bytes, ...]
    labels: np.ndarray
    image_size: int
    cache: str | None = None

    def part(self, start: int, stop: int) -> EncodedInMemory:
        return EncodedInMemory(self.encoded[start:stop], self.labels[start:stop], self.image_size)

    def read(self, index: int) -> bytes:
        return self.encoded[index]

    def describe(self, index: int) -> str:
        return f"image {index}"

    def encoded_bytes(self) -> int:
        return sum(map(len, self.encoded))


def stand_in(recipe: Recipe) -> Data:
    """Random images of the data set's shape and classes."""
    facts = datasets.DATASETS[recipe.data.dataset]
    names = facts.class_names or ("cat", "dog", "fish")
    noise, labels = np.random.default_rng(0), np.arange(8) % len(names)
    if facts.image_shape:
        split: Split = ArraySplit(noise.integers(0, 256, (8, *facts.image_shape), np.uint8), labels)
    else:
        images = noise.integers(0, 256, (8, 40, 30, 3), np.uint8)
        split = EncodedInMemory(
            tuple(tf.io.encode_jpeg(image).numpy() for image in images), labels, recipe.data.image_size
        )
    return Data(split, split, None, names)
