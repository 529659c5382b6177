"""The input stage by stage as JAX has it: by grain and NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.interleaved import Task
from keras_resnet.data.encoded_splits import EncodedSplit
from keras_resnet.data.grain import batches, prefetching
from keras_resnet.data.grain.augmentation import encoded
from keras_resnet.data.grain.encoded_images import Image
from keras_resnet.data.grain.prefetching import Prefetched
from keras_resnet.data.splits import Split
from keras_resnet.host import processors


def stages(split: EncodedSplit, augmentation: Sequence[str], batch: int, images: int) -> dict[str, Task]:
    """Tasks that do all to an image up to a stage, and drop the result but for a byte."""
    functions: dict[str, Callable[[Image, np.ndarray], np.ndarray]] = {"read": read}
    if encoded.CROPS.keys() & set(augmentation):
        functions["decode"] = Decoded(tuple(augmentation), split.image_size)
    functions["augment"] = Augmented(tuple(augmentation), split.image_size)
    return {
        name: Taken(lambda function=function: _batches(split, augmentation, batch, function=function), batch, images)
        for name, function in functions.items()
    }


def whole(split: Split, augmentation: Sequence[str], batch: int, images: int, padding: int) -> Task:
    """Makes batches as training has them, in the memory of this process."""
    return Taken(lambda: _batches(split, augmentation, batch, padding=padding), batch, images)


def _batches(split: Split, augmentation: Sequence[str], batch: int, **options: Any) -> Prefetched:
    return batches.training_batches(split, global_batch_size=batch, augmentation=augmentation, seed=0, **options)


def read(image: Image, draws: np.ndarray) -> np.ndarray:
    """Nothing of an image that was read."""
    return np.zeros(1, np.uint8)


@dataclass(frozen=True)
class Decoded:
    """A byte of the decoded window of an image."""

    augmentation: tuple[str, ...]
    size: int

    def __call__(self, image: Image, draws: np.ndarray) -> np.ndarray:
        window = encoded.cropped(image, draws, self.augmentation, self.size)
        assert window is not None
        return window[0, 0, :1].astype(np.uint8)


@dataclass(frozen=True)
class Augmented:
    """A byte of an image as training has it."""

    augmentation: tuple[str, ...]
    size: int

    def __call__(self, image: Image, draws: np.ndarray) -> np.ndarray:
        return encoded.augment(image, draws, self.augmentation, self.size)[0, 0, :1]


@dataclass
class Taken:
    """A task that takes batches, made by processes that are at work already.

    Entered, it starts them and takes what they have made ahead of time: the batches after that come as fast as they are
    made.

    Args:
        make: Makes the iterator.
        batch: Images in a batch.
        images: In a measurement.
    """

    make: Callable[[], Prefetched]
    batch: int
    images: int
    _iterator: Prefetched = field(init=False)

    def __enter__(self) -> None:
        self._iterator = self.make()
        ahead = prefetching.AHEAD * batches.PIECE * processors.count()
        self._take(1 + math.ceil(ahead / self.batch))

    def __call__(self) -> int:
        self._take(self.images // self.batch)
        return self.images

    def __exit__(self, *_: object) -> None:
        self._iterator.close()

    def _take(self, count: int) -> None:
        for _ in range(count):
            next(self._iterator)
