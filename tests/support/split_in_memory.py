"""Encoded images in memory, as a split that worker processes can have."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from encoded_pictures import encoded, noise_image
from keras_resnet.data.encoded_splits import EncodedSplit
from keras_resnet.data.grain.encoded_images import Image


@dataclass(frozen=True, eq=False)
class EncodedPictures(EncodedSplit):
    """A split of files that lie in memory."""

    files: tuple[bytes, ...]
    labels: np.ndarray
    image_size: int
    cache: str | None = None

    def part(self, start: int, stop: int) -> EncodedPictures:
        return EncodedPictures(self.files[start:stop], self.labels[start:stop], self.image_size, self.cache)

    def read(self, index: int) -> bytes:
        return self.files[index]

    def describe(self, index: int) -> str:
        return f"picture {index}: damaged"

    def encoded_bytes(self) -> int:
        return sum(map(len, self.files))


class Modules:
    """The function of an image that tells, by an error, which modules its process has."""

    def __call__(self, image: Image) -> np.ndarray:
        raise ValueError(" ".join(name for name, module in sys.modules.items() if module))


def pictures(shapes: Sequence[tuple[int, int]], *, size: int, **options: str | None) -> EncodedPictures:
    """PNG and JPEG in turns, of noise; the label of each is its index modulo 7."""
    noise = np.random.default_rng(0)
    files = [encoded(noise_image(noise, *shape), "JPEG" if index % 2 else "PNG") for index, shape in enumerate(shapes)]
    return EncodedPictures(tuple(files), np.arange(len(files)) % 7, size, **options)
