"""ImageNet as TFRecord shards: those of tensorflow-datasets, of `data.preparation` and of older scripts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from keras_resnet.data import places
from keras_resnet.data.datasets import folder
from keras_resnet.data.encoded_splits import FileSplit
from keras_resnet.data.tfrecords.imagenet_files import LABELS, NAME, SPLITS
from keras_resnet.data.tfrecords.index import read_index, shard_names
from keras_resnet.data.tfrecords.records import Progress, RecordSplit
from keras_resnet.host import storage, texts

CHECKED = 20
"""Records whose own class names are compared with the label map."""


def load(
    directory: str | Path | None,
    image_size: int | None = None,
    *,
    progress: Progress | None = None,
    tell: folder.Tell = lambda line: None,
) -> tuple[RecordSplit, RecordSplit, tuple[str, ...]] | tuple[FileSplit, FileSplit | None, tuple[str, ...]]:
    """Training split, validation split and class names. Nothing is downloaded.

    Args:
        directory: One that holds the shards (`imagenet2012-train.tfrecord-00000-of-01024` or `train-00000-of-01024`),
            a data directory of tensorflow-datasets with `imagenet2012`, or one with class folders (`train/CLASS/*`).
        image_size: Side of the squares, in pixels. Defaults to 224.
        progress: Called after every shard that must be scanned, with the number of shards scanned and of all.
        tell: Takes a line about class folders.

    Raises:
        FileNotFoundError: if there is no such directory, or a split or a shard is not there.
        ValueError: if the files are damaged or do not fit each other.
    """
    places.require("imagenet", directory)
    image_size = 224 if image_size is None else image_size
    classes = Path(directory) / "train"
    if classes.is_dir() and any(path.is_dir() for path in classes.iterdir()):
        return folder.load(Path(directory), image_size, tell=tell, as_published=True)
    place = find_directory(str(directory))
    train, validation = (read_index(place, split, image_size, progress=progress) for split in SPLITS)
    return train, validation, read_class_names(place, (train, validation))


def find_directory(directory: str) -> str:
    """The directory of the shards: the given one, or the newest version of `imagenet2012` in it.

    Raises:
        FileNotFoundError: if there is no such directory, or it holds no shards of a split.
    """
    if not storage.is_directory(directory):
        raise FileNotFoundError(f"There is no directory {directory}")
    places = [directory, *_versions(f"{directory}/{NAME}"), *_versions(directory)]
    for place in places:
        found = [split for split in SPLITS if shard_names(place, split)]
        if len(found) == len(SPLITS):
            return place
        if found:
            [missing] = set(SPLITS) - set(found)
            raise FileNotFoundError(f"{place} has shards of the {found[0]} split, but none of {missing}; get those too")
    raise FileNotFoundError(
        f"ImageNet is not in {directory}: neither shards (imagenet2012-train.tfrecord-00000-of-01024 or "
        "train-00000-of-01024), nor imagenet2012/VERSION with such, nor class folders (train/CLASS). Choose another "
        "`data_directory`, or prepare ImageNet first"
    )


def _versions(directory: str) -> list[str]:
    """The directories of versions such as 5.1.0, the newest first."""
    if not storage.is_directory(directory):
        return []
    names = storage.names(directory)
    versions = [name for name in names if re.fullmatch(r"\d+\.\d+\.\d+", name)]
    newest_first = sorted(versions, key=lambda name: [int(number) for number in name.split(".")], reverse=True)
    return [f"{directory}/{name}" for name in newest_first]


def read_class_names(directory: str, splits: Iterable[RecordSplit]) -> tuple[str, ...]:
    """The lines of the label map; without one, the numbers of the classes through the largest label.

    Raises:
        ValueError: if the label map does not fit the records.
    """
    path = f"{directory}/{LABELS}"
    most = max(int(split.labels.max()) for split in splits)
    least = min(int(split.labels.min()) for split in splits)
    if least < 0:
        raise ValueError(f"The labels of the records in {directory} must not be below zero. Received: {least}")
    if not storage.exists(path):
        return tuple(str(label) for label in range(most + 1))
    try:
        class_names = tuple(texts.decoded(storage.read(path)).removesuffix("\n").split("\n"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be a text in UTF-8; get the right label map") from error
    if len(set(class_names)) < len(class_names) or "" in class_names:
        raise ValueError(f"{path} must name every class once, in a line of its own; get the right label map")
    texts.check_names(class_names, path)
    if most >= len(class_names):
        raise ValueError(
            f"{path} must name the classes of all labels. It names {len(class_names)}, and there is an image of "
            f"label {most}; get the right label map"
        )
    for split in splits:
        _check_class_names(path, split, class_names)
    return class_names


def _check_class_names(path: str, split: RecordSplit, class_names: tuple[str, ...]) -> None:
    """Compares names with those in some records: in another order they would never crash, only be wrong."""
    for index in np.linspace(0, split.size - 1, CHECKED, dtype=int):
        file_name, class_name, label = split.origin(index)
        # tensorflow-datasets keeps the name of the class in that of the file: n01440764_10026.JPEG.
        found = class_name or (file_name or "").split("_")[0]
        if label is not None and found in class_names and class_names[label] != found:
            raise ValueError(
                f"{path} must name the classes in the order of the labels. It names class {label} "
                f"{class_names[label]}, and {file_name} of that label is {found}; get the right label map"
            )
