"""CIFAR-10 and CIFAR-100 as they were published: archives of binary files, or the folders that are in them."""

from __future__ import annotations

import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnet.data import places
from keras_resnet.data.splits import ArraySplit
from keras_resnet.facts.datasets import DATASETS


@dataclass(frozen=True)
class Layout:
    """The files of a data set: records of labels and then pixels, red, green and blue, each row by row.

    Attributes:
        train: Names of the files of the training split, in their order.
        test: Of the test split.
        records: In each file of the training split; in each of the test split.
        labels: Bytes of labels in a record, of which the last is the class.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    records: tuple[int, int]
    labels: int


LAYOUTS = {
    "cifar10": Layout(
        tuple(f"data_batch_{number}.bin" for number in range(1, 6)), ("test_batch.bin",), (10_000, 10_000), labels=1
    ),
    "cifar100": Layout(("train.bin",), ("test.bin",), (50_000, 10_000), labels=2),
}
"""By the name of the data set; see the README of the archives (Krizhevsky, 2009)."""


def load(name: str, place: Path) -> tuple[ArraySplit, ArraySplit]:
    """Training split and test split.

    Args:
        name: A key of `LAYOUTS`.
        place: The folder or the archive, as `places.find_cifar` gives it.

    Raises:
        ValueError: if the files are damaged, incomplete, or something else.
    """
    layout = LAYOUTS[name]
    try:
        content = (_of_folder if place.is_dir() else _of_archive)(place, {*layout.train, *layout.test})
        splits = [
            _split(name, [_records(content, file, count, layout.labels) for file in files], layout.labels)
            for files, count in zip((layout.train, layout.test), layout.records, strict=True)
        ]
    except (OSError, ValueError, EOFError, tarfile.TarError, zlib.error) as error:
        archive = places.PUBLISHED[name].archive
        raise ValueError(f"{place} is damaged or incomplete; get {archive} again ({error})") from error
    return splits[0], splits[1]


def _of_folder(folder: Path, names: set[str]) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


def _of_archive(archive: Path, names: set[str]) -> dict[str, bytes]:
    """The content of some files, wherever they are in an archive."""
    found = {}
    with tarfile.open(archive) as members:
        for member in members:
            name = member.name.rpartition("/")[2]
            if name in names and (file := members.extractfile(member)):
                found[name] = file.read()
    return found


def _records(content: dict[str, bytes], name: str, count: int, labels: int) -> np.ndarray:
    """uint8 [count, bytes of a record]."""
    if name not in content:
        raise ValueError(f"there is no {name}")
    size = count * (labels + 32 * 32 * 3)
    if len(content[name]) != size:
        raise ValueError(f"{name} has {len(content[name]):,} bytes, not {size:,}")
    return np.frombuffer(content[name], np.uint8).reshape(count, -1)


def _split(name: str, parts: list[np.ndarray], labels: int) -> ArraySplit:
    height, width, channels = DATASETS[name].image_shape or (0, 0, 0)
    records = np.concatenate(parts)
    pixels = records[:, labels:].reshape(-1, channels, height, width)
    return ArraySplit(np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)), records[:, labels - 1].astype(np.int64))
