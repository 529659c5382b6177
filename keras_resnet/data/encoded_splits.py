"""Splits of encoded images, any of which is read alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from keras_resnet.data.picture_files import damage, exif, shapes
from keras_resnet.data.splits import PARALLEL_CALLS, Split
from keras_resnet.facts import center_crop
from keras_resnet.host import storage

SAMPLE = 100
"""Images whose sizes tell how much memory the pixels of all will take."""
TOGETHER = 512
"""Images that are given to the threads at a time."""


class DamagedImageError(ValueError):
    """An encoded image cannot be read or decoded."""


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
    def read(self, index: int) -> bytes:
        """An encoded image.

        Raises:
            DamagedImageError: if what holds it is damaged.
            OSError: if it cannot be read; a `FileNotFoundError` if it is not there.
        """

    def orientation(self, index: int) -> int:
        """How an image is to be turned: 1 to 8 as in EXIF."""
        return exif.UPRIGHT

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

    def cached_bytes(self) -> int:
        """Bytes that the cache will hold, about."""
        return self.encoded_bytes() if self.cache != "decoded" else self.size * self.pixels_bytes()

    def pixels_bytes(self) -> int:
        """Bytes of the pixels of an image, on the average of a sample.

        Raises:
            DamagedImageError: if an image of the sample is damaged.
        """
        sample = np.linspace(0, self.size - 1, min(self.size, SAMPLE), dtype=np.int64)
        found = []
        for index in sample.tolist():
            try:
                found.append(shapes.shape(self.read(index)))
            except shapes.UnknownShapeError as error:
                raise DamagedImageError(self.describe(index)) from error
        return int(3 * np.mean(np.prod(found, axis=1)))

    def damaged(self) -> list[str]:
        """The images that cannot be used, found by reading and decoding every one."""
        return [self.describe(index) for index in self._faults()]

    def _faults(self) -> Iterator[int]:
        with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
            for start in range(0, self.size, TOGETHER):
                part = range(start, min(start + TOGETHER, self.size))
                yield from (
                    index for index, whole in zip(part, pool.map(self._is_whole, part), strict=True) if not whole
                )

    def _is_whole(self, index: int) -> bool:
        try:
            return damage.examine_content(self.read(index)).unusable is None
        except (DamagedImageError, OSError):
            return False


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

    @property
    def image_files(self) -> tuple[str, ...]:
        """The file of each image."""
        return self.paths

    def part(self, start: int, stop: int) -> FileSplit:
        """The files from `start` to before `stop`."""
        orientations = None if self.orientations is None else self.orientations[start:stop]
        return FileSplit(self.paths[start:stop], self.labels[start:stop], self.image_size, self.cache, orientations)

    def read(self, index: int) -> bytes:
        """The bytes of a file."""
        return storage.read(self.paths[index])

    def orientation(self, index: int) -> int:
        """How a file is to be turned."""
        return exif.UPRIGHT if self.orientations is None else int(self.orientations[index])

    def describe(self, index: int) -> str:
        """The path of a file that cannot be used."""
        return f"{self.paths[index]}: damaged"

    def encoded_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(storage.status(path).size for path in self.paths)
