"""CIFAR-10 and CIFAR-100 in memory, as tensorflow-datasets keeps them on disk or as they were published."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np

from keras_resnet.data import places
from keras_resnet.data.datasets import cifar_archives
from keras_resnet.data.splits import PARALLEL_CALLS, ArraySplit
from keras_resnet.data.tfrecords import frames, prepared
from keras_resnet.data.tfrecords.examples import Example
from keras_resnet.data.tfrecords.prepared import Shard
from keras_resnet.facts.datasets import DATASETS

TOGETHER = 500
"""Images that a thread decodes at a time."""
IMAGE, LABEL = "image", "label"
"""The features of a record."""


def load(name: str, directory: Path | None = None) -> tuple[ArraySplit, ArraySplit, tuple[str, ...]]:
    """Training split, test split and class names. Nothing is downloaded.

    Args:
        name: `"cifar10"` or `"cifar100"`.
        directory: The data directory of tensorflow-datasets, which holds `name`; or that of the published archive or of
            its folder, where images are in another order. Defaults to tensorflow-datasets' own.

    Raises:
        FileNotFoundError: if the data set is not there.
        ValueError: if its files are damaged or hold something else.
    """
    place = places.find_cifar(name, directory)
    if place.name in places.PUBLISHED[name]:
        train, test = cifar_archives.load(name, place)
    else:
        train, test = (read(place, split, DATASETS[name].image_shape) for split in ("train", "test"))
    return train, test, DATASETS[name].class_names


def read(directory: Path, split: str, shape: tuple[int, int, int]) -> ArraySplit:
    """All images of a split, in the order of its files.

    Args:
        directory: Of a version of the data set.
        split: `"train"` or `"test"`.
        shape: (height, width, channels) of an image.

    Raises:
        ValueError: if the files are damaged or hold something else.
    """
    shards: list[Shard] = []
    try:
        shards = prepared.shards(directory, split)
        images, labels = zip(*chain.from_iterable(map(_records, shards)), strict=True)
        parts = [images[start : start + TOGETHER] for start in range(0, len(images), TOGETHER)]
        with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
            decoded = list(pool.map(lambda part: _decoded(part, shape), parts))
        return ArraySplit(np.concatenate(decoded), np.array(labels, np.int64))
    except (OSError, ValueError) as error:
        cause = ", ".join(damaged(shards)) or error
        raise ValueError(
            f"The {split} split of {directory.parent.name} in {directory} is damaged or incomplete; "
            f"remove that directory and get the data set again ({cause})"
        ) from error


def _records(shard: Shard) -> Iterator[tuple[bytes, int]]:
    """The encoded image and the label of every record of a shard."""
    count = 0
    for _, data in frames.scan(str(shard.path)):
        example = Example(data)
        image, label = example.content(IMAGE), example.number(LABEL)
        if image is None or label is None:
            raise ValueError(f"a record of {shard.path} has no '{IMAGE}' or no '{LABEL}'")
        yield image, label
        count += 1
    if count != shard.records:
        raise ValueError(f"{shard.path} has {count} records, not {shard.records}")


def _decoded(files: Iterable[bytes], shape: tuple[int, int, int]) -> np.ndarray:
    """uint8 [images, height, width, channels] of PNG files.

    Raises:
        ValueError: if one is damaged, or of another shape.
    """
    # Imported late: Pillow is an extra, and of all that is in memory only these images need it.
    from PIL.PngImagePlugin import PngImageFile

    images = []
    for file in files:
        try:
            with PngImageFile(io.BytesIO(file)) as image:
                images.append(np.asarray(image))
        except (OSError, SyntaxError) as error:
            raise ValueError(f"an image is damaged ({error})") from error
    if wrong := [image.shape for image in images if image.shape != shape]:
        raise ValueError(f"an image has the shape {wrong[0]}, not {shape}")
    return np.stack(images)


def damaged(shards: Iterable[Shard]) -> list[str]:
    """Paths of the files that are missing, or whose records are not whole."""

    def is_whole(shard: Shard) -> bool:
        try:
            for _ in frames.scan(str(shard.path)):
                pass
        except (OSError, frames.DamagedRecordError):
            return False
        return True

    return [str(shard.path) for shard in shards if not is_whole(shard)]
