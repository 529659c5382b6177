"""Batches of one shape, made by worker processes: endless ones for training, a single pass for evaluation.

The images are those of `data.tensorflow.batches`, in the same order and in the same batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.data import order
from keras_resnet.data.encoded_splits import DamagedImageError, EncodedSplit
from keras_resnet.data.grain import images_in_memory
from keras_resnet.data.grain.augmentation import encoded, fixed_size
from keras_resnet.data.grain.encoded_images import DecodedImage, Image
from keras_resnet.data.grain.images_in_memory import ImageMemory
from keras_resnet.data.grain.prefetching import Batch, Prefetched
from keras_resnet.data.splits import Split
from keras_resnet.facts.augmentation import check, draws
from keras_resnet.host import processors

PIECE = 32
"""Images that a process makes at a time, at most: so that all work on the first batch, and little memory is taken."""
FEW = 1024
"""Encoded images up to which threads of the program are done before processes would have started."""
THREADS = 2
"""Cores up to which threads of the program are as fast as processes: they share Python's lock."""
MOST = 64
"""Processes that are started by default: each takes nine open files, of which a program often may have 1,024."""
ENDLESS = 1 << 60
"""Pieces of a training."""


def training_batches(
    split: Split,
    *,
    global_batch_size: int,
    augmentation: Sequence[str],
    padding: int = 4,
    seed: int,
    first_iteration: int = 0,
    replicas: int = 1,
    host: int = 0,
    hosts: int = 1,
    workers: int | None = None,
    function: Callable[[Image, np.ndarray], np.ndarray] | None = None,
) -> Prefetched:
    """The batches of every iteration from the first one on, without end.

    A batch is a function of (split, seed, iteration): started at iteration k, the batches are, to the bit, those that
    an iterator started at 0 gives from iteration k on, whatever the number of workers. Every epoch visits every image
    exactly once; a batch may hold the end of one epoch and the beginning of the next.

    Args:
        split: The training images.
        global_batch_size: Images in an iteration, on all replicas of all hosts together; a multiple of their number.
        augmentation: Names of operations that suit the images, in their order; see `facts.augmentation`.
        padding: Pixels on each side, for `pad-crop`.
        seed: Of the order and of the augmentation.
        first_iteration: Zero-based.
        replicas: Replicas of this host.
        host: Number of this host.
        hosts: How many there are.
        workers: Processes that make batches. 0: threads of this process do. Defaults to one for each core, up to 64; to
            0 for images in memory, and on two cores or one, where threads are as fast.
        function: Of encoded images: from an image and its draws, float32 [draws of the augmentation], to an array
            uint8, the same shape for all. It can be pickled. Defaults to the augmentation.

    Returns:
        Iterator, to be closed, of (images uint8 [batch, height, width, channels], labels int32 [batch]), one for each
        replica of this host in turns; `batch` is the replica's share of `global_batch_size`.

    Raises:
        ValueError: if the images cannot have that augmentation; in `next`, `DamagedImageError` names an image that is
            damaged.
        OSError: in `next`, if an image cannot be read, or a worker was killed.
    """
    check(augmentation, split.kind)
    parts = hosts * replicas
    size = global_batch_size // parts
    pieces = _TrainingPieces(
        images=_Images.of(split),
        size=size,
        count=_count(split, size),
        augmentation=tuple(augmentation),
        padding=padding,
        function=function or Augment(tuple(augmentation), split.image_shape[0]),
        seed=seed,
        first=first_iteration,
        replicas=replicas,
        host=host,
        hosts=hosts,
    )
    return _prefetched(pieces, split, ENDLESS, workers)


def evaluation_batches(
    split: Split,
    *,
    batch_size: int,
    replicas: int = 1,
    host: int = 0,
    hosts: int = 1,
    workers: int | None = None,
) -> Prefetched:
    """One pass over a host's part of a split, in its order, every image exactly once and not augmented.

    Args:
        split: The images.
        batch_size: Images in a batch, on all replicas of all hosts together.
        replicas: Replicas of this host.
        host: Number of this host.
        hosts: How many there are.
        workers: As in `training_batches`; defaults to 0 for few images, too.

    Returns:
        Iterator, to be closed, of (images uint8 [batch, height, width, channels], labels int32 [batch]), one for each
        replica of this host in turns, and as many on every host; `batch` is the replica's share of `batch_size`. Where
        there are no images left, batches are filled up with black ones whose label is -1.
    """
    size = batch_size // (hosts * replicas)
    most = -(-split.size // hosts)
    pieces = _PassPieces(
        images=_Images.of(split),
        size=size,
        count=_count(split, size),
        function=CenterCrop(split.image_shape[0]),
        start=min(host * most, split.size),
        stop=min((host + 1) * most, split.size),
        batches=replicas * -(-most // (size * replicas)),
    )
    return _prefetched(pieces, split, most, workers)


def map_images(
    split: EncodedSplit, function: Callable[[Image], Any], *, batch_size: int = 1, workers: int | None = None
) -> Prefetched:
    """One pass over encoded images, in their order, each exactly once.

    Args:
        split: The images.
        function: From an image to an array uint8, or a tuple of such. It can be pickled.
        batch_size: Images in a batch; 1 where arrays of different images have different shapes.
        workers: As in `evaluation_batches`.

    Returns:
        Iterator, to be closed, of (the arrays of `batch_size` images along a new first axis, labels int32 [batch]).
        The last batch is filled up with zeros whose label is -1.
    """
    batches = -(-split.size // batch_size)
    pieces = _PassPieces(
        images=_Images.of(split),
        size=batch_size,
        count=_count(split, batch_size),
        function=function,
        start=0,
        stop=split.size,
        batches=batches,
    )
    return _prefetched(pieces, split, split.size, workers)


@dataclass(frozen=True)
class CenterCrop:
    """The function of an encoded image that `evaluation_batches` applies.

    Args:
        size: Side of the square, in pixels.
    """

    size: int

    def __call__(self, image: Image) -> np.ndarray:
        return encoded.augment(image, np.zeros(0, np.float32), (), self.size)


@dataclass(frozen=True)
class Augment:
    """The function of an encoded image and its draws that `training_batches` applies.

    Args:
        augmentation: Names of operations.
        size: Side of the square, in pixels.
    """

    augmentation: tuple[str, ...]
    size: int

    def __call__(self, image: Image, draws: np.ndarray) -> np.ndarray:
        return encoded.augment(image, draws, self.augmentation, self.size)


def _count(split: Split, size: int) -> int:
    """Pieces of a batch."""
    return -(-size // PIECE) if isinstance(split, EncodedSplit) else 1


def _prefetched(pieces: _TrainingPieces | _PassPieces, split: Split, images: int, workers: int | None) -> Prefetched:
    """The batches, made by as many processes or threads as suit the images."""
    cores, is_encoded = processors.count(), isinstance(split, EncodedSplit)
    if workers is None:
        workers = min(cores, MOST) if is_encoded and cores > THREADS and images > FEW else 0
    return Prefetched(pieces, together=pieces.count, workers=workers, threads=cores if is_encoded else 1)


@dataclass(frozen=True)
class _Images:
    """The images of a split, as a worker process has them."""

    split: Split
    memory: ImageMemory | None

    @classmethod
    def of(cls, split: Split) -> _Images:
        return cls(split, images_in_memory.of(split) if isinstance(split, EncodedSplit) else None)

    def labels(self, indices: np.ndarray) -> np.ndarray:
        return self.split.labels[indices].astype(np.int32)

    def apply(self, function: Callable[[Image], Any], index: int) -> Any:
        """A function of an encoded image.

        Raises:
            DamagedImageError, OSError: with the image's place.
        """
        try:
            return function(images_in_memory.image(self.split, self.memory, index))
        except (ValueError, OSError) as error:
            kind = OSError if isinstance(error, OSError) else DamagedImageError
            place = self.split.describe(index)
            raise kind(str(error) if place in str(error) else f"{place} ({error})") from error


@dataclass(frozen=True, kw_only=True)
class _Divided:
    """Batches in pieces of known images.

    Args:
        images: What there is.
        size: Images in a batch.
        count: Pieces of a batch.
    """

    images: _Images
    size: int
    count: int

    def _batch_and_rows(self, number: int) -> tuple[int, slice]:
        """The batch that a piece belongs to, and its rows of it; pieces differ by one row at most."""
        batch, piece = divmod(number, self.count)
        return batch, slice(self.size * piece // self.count, self.size * (piece + 1) // self.count)


@dataclass(frozen=True, kw_only=True)
class _TrainingPieces(_Divided):
    """Pieces of the batches of a training; the arguments are those of `training_batches`."""

    augmentation: tuple[str, ...]
    padding: int
    function: Callable[[Image, np.ndarray], np.ndarray]
    seed: int
    first: int
    replicas: int
    host: int
    hosts: int

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, number: int) -> Batch:
        batch, rows = self._batch_and_rows(number)
        iteration, replica = divmod(batch, self.replicas)
        # All replicas of all hosts divide an iteration: their parts, one after the other, are smaller iterations.
        part = ((self.first + iteration) * self.hosts + self.host) * self.replicas + replica
        split = self.images.split
        indices, numbers = order.batch(
            split.size, draws(self.augmentation), seed=self.seed, batch_size=self.size, iteration=part
        )
        indices, numbers = indices[rows], numbers[rows]
        return self._augmented(split, indices, numbers), self.images.labels(indices)

    def _augmented(self, split: Split, indices: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        if not isinstance(split, EncodedSplit):
            return fixed_size.augment(split.images[indices], numbers, self.augmentation, self.padding)
        augmented: np.ndarray | None = None
        for row, index in enumerate(indices.tolist()):
            one = self.images.apply(lambda image, row=row: self.function(image, numbers[row]), index)
            if augmented is None:
                augmented = np.empty((len(indices), *one.shape), np.uint8)
            augmented[row] = one
        return augmented


@dataclass(frozen=True, kw_only=True)
class _PassPieces(_Divided):
    """Pieces of the batches of a pass.

    Args:
        function: Of each encoded image; images in memory are left as they are.
        start: Number of the first image.
        stop: Number of the image after the last.
        batches: How many there are, the last ones perhaps without an image.
    """

    function: Callable[[Image], Any]
    start: int
    stop: int
    batches: int

    def __len__(self) -> int:
        return self.batches * self.count

    def __getitem__(self, number: int) -> Batch:
        batch, rows = self._batch_and_rows(number)
        first = self.start + batch * self.size
        indices = np.arange(first + rows.start, min(first + rows.stop, self.stop))
        missing = rows.stop - rows.start - len(indices)
        labels = np.concatenate([self.images.labels(indices), np.full(missing, -1, np.int32)])
        return self._filled(indices, missing), labels

    def _filled(self, indices: np.ndarray, missing: int) -> Any:
        split = self.images.split
        if not isinstance(split, EncodedSplit):
            return np.concatenate([split.images[indices], np.zeros((missing, *split.image_shape), np.uint8)])
        values = [self.images.apply(self.function, index) for index in indices.tolist()]
        if missing:
            black = self.function(DecodedImage(np.zeros(split.image_shape, np.uint8)))
            values += [_map(np.zeros_like, black)] * missing
        if isinstance(values[0], tuple):
            return tuple(np.stack(arrays) for arrays in zip(*values, strict=True))
        return np.stack(values)


def _map(function: Callable[[np.ndarray], np.ndarray], arrays: Any) -> Any:
    """The function of an array, or of each of a tuple."""
    return tuple(map(function, arrays)) if isinstance(arrays, tuple) else function(arrays)
