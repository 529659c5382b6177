"""A directory with one folder of images for each class: anyone's own pictures."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnet.data import places
from keras_resnet.data.encoded_splits import FileSplit
from keras_resnet.data.picture_files import damage, finding, memory
from keras_resnet.host.progress_line import duration
from keras_resnet.host.texts import check_names

Tell = Callable[[str], None]
"""Takes a line for the person who waits."""

VALIDATION = ("validation", "val", "valid")
"""The names that the folder of the validation images may have."""
OTHER_SPLITS = {"training", "test", "testing", *VALIDATION}
"""Names of folders that are hardly classes."""
TOLD_EVERY = 10.0
"""Seconds between two lines about how many files were examined."""


def load(
    directory: Path | None,
    image_size: int | None = None,
    *,
    tell: Tell = lambda line: None,
    as_published: bool = False,
) -> tuple[FileSplit, FileSplit | None, tuple[str, ...]]:
    """Training split, validation split if there is one, and class names, which are the sorted names of the folders.

    The files are `train/CLASS/**` and `validation/CLASS/**` (or `val`, `valid`), or just `CLASS/**`. Every one is
    decoded before it is used, once: what was found whole is remembered in the user's cache. An image that its file
    says to be turned (EXIF) is turned.

    Args:
        directory: The directory.
        image_size: Side of the squares, in pixels. Defaults to 224.
        tell: Takes a line about what is left out, and about what takes long.
        as_published: Whether the images are those of a published data set, which everybody takes as they are: not
            turned, and with all that libjpeg decodes, whatever it says of it.

    Raises:
        FileNotFoundError: if there is no such directory.
        ValueError: if there are no classes, a class has no images, a validation class is unknown, or files are
            unusable.
    """
    places.require("folder", directory)
    image_size = 224 if image_size is None else image_size
    train, validation = find_splits(directory)
    class_names = find_classes(train)
    listings = [scan(train, class_names)]
    if validation is not None:
        if unknown := sorted(set(find_classes(validation)) - set(class_names)):
            raise ValueError(f"{validation} has folders that {train} has not: {', '.join(unknown)}")
        listings.append(scan(validation, class_names))
    if others := [path for listing in listings for path in listing.left_out]:
        tell(finding.left_out(others))
    found = examine(directory, listings, tell, as_published=as_published)
    splits = [
        FileSplit(listing.paths, listing.labels, image_size, orientations=None if as_published else orientations)
        for listing, orientations in zip(listings, found, strict=True)
    ]
    return splits[0], splits[1] if len(splits) > 1 else None, class_names


def find_splits(directory: Path) -> tuple[Path, Path | None]:
    """The folder with the classes for training, and that for validation if there is one.

    Raises:
        ValueError: if it is not clear which they are.
    """
    train, there = directory / "train", [name for name in VALIDATION if (directory / name).is_dir()]
    if train.is_dir():
        if len(there) > 1:
            raise ValueError(f"{directory} must hold one folder of validation images. It holds {' and '.join(there)}")
        return train, directory / there[0] if there else None
    if splits := sorted(path.name for path in directory.iterdir() if path.name in OTHER_SPLITS and path.is_dir()):
        raise ValueError(f"{directory} holds {' and '.join(splits)}, but no train: name the training images' folder so")
    return directory, None


def find_classes(directory: Path) -> tuple[str, ...]:
    """The sorted names of the folders in a directory.

    Raises:
        ValueError: if there are none, or one has a name that cannot be written down.
    """
    classes = sorted(path.name for path in directory.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not classes:
        raise ValueError(f"{directory} must hold one folder of images for each class. It holds no folder")
    check_names(tuple(classes), str(directory))
    return tuple(classes)


@dataclass(frozen=True, eq=False)
class Listing:
    """The files of a split, from a look at its folders alone: none was opened.

    Attributes:
        directory: That of the class folders.
        names: CLASS/FILE or CLASS/FOLDER/…/FILE of each image, in the order of the split.
        labels: int64 [images].
        left_out: Files whose names are not those of pictures, in and beside the class folders.
    """

    directory: Path
    names: tuple[str, ...]
    labels: np.ndarray
    left_out: tuple[str, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """The path of each image."""
        return tuple(f"{self.directory}/{name}" for name in self.names)


def scan(directory: Path, class_names: Sequence[str]) -> Listing:
    """The image files in the class folders of a directory, at any depth.

    Their order is that of a hash of their names: as good as random, so that a part of many of them holds every class,
    and the same wherever the directory lies.

    Raises:
        ValueError: if a class folder has no images.
    """
    found: list[tuple[bytes, str, int]] = []
    left_out = [str(path) for path in directory.iterdir() if not path.is_dir() and not path.name.startswith(".")]
    for label, class_name in enumerate(class_names):
        folder = directory / class_name
        if not folder.is_dir():
            continue
        pictures, others = finding.find(folder)
        if not pictures:
            suffixes = ", ".join(sorted(finding.SUFFIXES))
            raise ValueError(f"{folder} must hold {finding.KINDS} images ({suffixes}). It holds none")
        names = [f"{class_name}/{path}" for path in pictures]
        found += [(hashlib.sha256(os.fsencode(name)).digest(), name, label) for name in names]
        left_out += [f"{folder}/{path}" for path in others]
    _, names, labels = zip(*sorted(found), strict=True)
    return Listing(directory, names, np.array(labels, np.int64), tuple(sorted(left_out)))


def examine(
    directory: Path, listings: Sequence[Listing], tell: Tell, *, as_published: bool = False
) -> list[np.ndarray]:
    """Decodes every file that was not found whole before.

    Args:
        directory: Of all listings.
        listings: The files.
        tell: Takes lines.
        as_published: As in `load`.

    Returns:
        For each listing uint8 [images], how each is to be turned: 1 to 8 as in EXIF.

    Raises:
        ValueError: if some are unusable, with their names.
    """
    paths = [path for listing in listings for path in listing.paths]
    names = [path.removeprefix(f"{directory}/") for path in paths]
    examined = list(zip(paths, memory.examine(directory, names, _telling(tell)), strict=True))
    faults = {path: one.unusable if as_published else one.fault for path, one in examined}
    if named := [f"{path}: {fault}" for path, fault in faults.items() if fault]:
        raise ValueError(damage.describe(named, len(paths)))
    if remarks := [f"{path} ({one.complaint})" for path, one in examined if one.complaint]:
        tell(f"taking {len(remarks):,} images as libjpeg decodes them, with a remark: {finding.some(remarks)}")
    orientations = np.array([one.orientation for _, one in examined], np.uint8)
    return np.split(orientations, np.cumsum([len(listing.names) for listing in listings])[:-1])


def _telling(tell: Tell, clock: Callable[[], float] = time.monotonic) -> Callable[[int, int], None]:
    """Tells now and then how many images of all were examined."""
    began = told = clock()

    def progress(done: int, images: int) -> None:
        nonlocal told
        if clock() - told >= TOLD_EVERY and done < images:
            told = clock()
            left = duration((images - done) * (told - began) / done)
            tell(f"looking for damage, once: {done:,} of {images:,} images, {left} left")

    return progress
