"""A directory with one folder of images for each class: anyone's own pictures."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_resnet.data import places
from keras_resnet.data.encoded_images import decode
from keras_resnet.data.encoded_splits import FileSplit
from keras_resnet.data.splits import PARALLEL_CALLS

SUFFIXES = {".jpg", ".jpeg", ".png"}
JPEG_START, JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"

NAMED = 10
"""Unusable files that an error lists by name."""


def load(directory: Path | None, image_size: int | None = None) -> tuple[FileSplit, FileSplit | None, tuple[str, ...]]:
    """Training split, validation split if there is one, and class names, which are the sorted names of the folders.

    The files are `train/CLASS/*` and `validation/CLASS/*`, or just `CLASS/*`; JPEG and PNG count, other and hidden
    files are passed over. Their order is that of a hash of their names: as good as random, so that a part of them
    holds every class, and the same wherever the directory lies.

    Args:
        directory: The directory.
        image_size: Side of the squares, in pixels. Defaults to 224.

    Raises:
        FileNotFoundError: if there is no such directory.
        ValueError: if there are no classes, a class has no images, a validation class is unknown, or files are
            unusable.
    """
    places.require("folder", directory)
    image_size = 224 if image_size is None else image_size
    train, validation = directory / "train", directory / "validation"
    if not train.is_dir():
        train, validation = directory, None
    class_names = find_classes(train)
    splits = [read(train, class_names, image_size)]
    if validation is not None and validation.is_dir():
        if unknown := sorted(set(find_classes(validation)) - set(class_names)):
            raise ValueError(f"{validation} has folders that {train} has not: {', '.join(unknown)}")
        splits.append(read(validation, class_names, image_size))
    check_files([path for split in splits for path in split.paths])
    return splits[0], splits[1] if len(splits) > 1 else None, class_names


def find_classes(directory: Path) -> tuple[str, ...]:
    """The sorted names of the folders in a directory.

    Raises:
        ValueError: if there are none.
    """
    classes = sorted(path.name for path in directory.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not classes:
        raise ValueError(f"{directory} must hold one folder of images for each class. It holds no folder")
    return tuple(classes)


def read(directory: Path, class_names: tuple[str, ...], image_size: int) -> FileSplit:
    """The image files in the class folders of a directory.

    Raises:
        ValueError: if a class folder has no images.
    """
    found: list[tuple[bytes, str, int]] = []
    for label, name in enumerate(class_names):
        folder = directory / name
        if not folder.is_dir():
            continue
        files = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
        if not files:
            raise ValueError(f"{folder} must hold JPEG or PNG images ({', '.join(sorted(SUFFIXES))}). It holds none")
        found += [(hashlib.sha256(f"{name}/{path.name}".encode()).digest(), str(path), label) for path in files]
    _, paths, labels = zip(*sorted(found), strict=True)
    return FileSplit(paths, np.array(labels, np.int64), image_size)


def check_files(paths: list[str]) -> None:
    """Reads both ends of every file.

    Raises:
        ValueError: if some are unusable, with their names.
    """
    with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
        faults = [f"{path}: {fault}" for path, fault in zip(paths, pool.map(find_fault, paths), strict=True) if fault]
    if faults:
        raise ValueError(describe_faults(faults, len(paths)))


def describe_faults(faults: list[str], images: int) -> str:
    """The message about unusable files."""
    shown = faults[:NAMED] + [f"… and {len(faults) - NAMED} more"] * (len(faults) > NAMED)
    return "\n  ".join([f"{len(faults)} of {images} images cannot be used; repair or remove them:", *shown])


def find_fault(path: str) -> str | None:
    """The fault of an image file, if its first or last bytes show one."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(len(PNG_START))
            size = file.seek(0, 2)
            file.seek(max(0, size - len(PNG_END)))
            end = file.read()
    except OSError as error:
        return f"unreadable ({error.strerror})"
    if not size:
        return "empty"
    if start.startswith(JPEG_START):
        complete = end.endswith(JPEG_END)
    elif start == PNG_START:
        complete = end == PNG_END
    else:
        return "neither JPEG nor PNG"
    # Some cameras append data of their own to a complete image: only decoding tells those from truncated ones.
    return None if complete or decodes(path) else "truncated"


def decodes(path: str) -> bool:
    """Whether a file can be read and decoded to its end."""
    try:
        decode(tf.io.read_file(path))
    except tf.errors.OpError:
        return False
    return True
