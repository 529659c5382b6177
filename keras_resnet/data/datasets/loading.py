"""Loading of a data set by its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from keras_resnet.data import places, roads
from keras_resnet.data.datasets import cifar, digits, folder, imagenet
from keras_resnet.data.encoded_splits import EncodedSplit
from keras_resnet.data.picture_files import damage, finding
from keras_resnet.data.splits import Split
from keras_resnet.facts.datasets import DATASETS

Tell = Callable[[str], None]
"""Takes a line for the person who waits."""
Loader = Callable[[Path | str | None, int | None, Tell], tuple[Split, Split | None, tuple[str, ...]]]

LOADERS: dict[str, Loader] = {
    "digits": lambda directory, size, tell: digits.load(),
    "cifar10": lambda directory, size, tell: cifar.load("cifar10", directory),
    "cifar100": lambda directory, size, tell: cifar.load("cifar100", directory),
    "imagenet": lambda directory, size, tell: imagenet.load(directory, size, progress=_telling_scan(tell), tell=tell),
    "folder": lambda directory, size, tell: folder.load(directory, size, tell=tell),
}
"""From data directory, image size and a function for lines of progress to the training split, the test split if there
is one, and the class names."""

CACHED_SHARE = 0.8
"""The largest share of the machine's memory for cached images."""


@dataclass(frozen=True, eq=False)
class Data:
    """The splits of a data set.

    Raises:
        ValueError: if a split is empty, or a label is no index of `class_names`.
    """

    train: Split
    validation: Split
    test: Split | None
    """`None` where the test images serve as validation."""
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        for name, split in self.splits.items():
            if not split.size:
                raise ValueError(f"The {name} split must hold at least one image. It is empty")
            wrong = np.flatnonzero((split.labels < 0) | (split.labels >= len(self.class_names)))
            if wrong.size:
                raise ValueError(
                    f"Labels must be at least 0 and below {len(self.class_names)}, the number of classes. "
                    f"Received: label {split.labels[wrong[0]]} of image {wrong[0]} in the {name} split"
                )

    @property
    def splits(self) -> dict[str, Split]:
        """The splits by name."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in splits.items() if split is not None}

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) in a batch."""
        return self.train.image_shape


def load(
    name: str,
    data_directory: str | Path | None = None,
    *,
    holdout: int = 0,
    image_size: int | None = None,
    cache: str | None = None,
    tell: Tell = lambda line: None,
) -> Data:
    """Reads a data set.

    Args:
        name: A key of `LOADERS`.
        data_directory: Where the data set lies; see its loader. `digits` needs none.
        holdout: Training images, the last ones, that are kept from training and serve as validation. With 0 the test
            images serve as validation.
        image_size: Side of the squares that encoded images become (`imagenet`, `folder`), in pixels. Defaults to 224.
        cache: What stays in memory of encoded images once they were read: `"encoded"`, `"decoded"` or nothing; see
            `EncodedSplit`.
        tell: Takes a line about work that takes long.

    Raises:
        FileNotFoundError: if the data set is not there.
        ValueError: if an argument or the data set makes no sense.
    """
    if name not in LOADERS:
        raise ValueError(f"`name` must be one of {', '.join(LOADERS)}. Received: name={name!r}")
    if image_size is not None and DATASETS[name].image_shape is not None:
        raise ValueError(f"`image_size` must be None: the images of {name} have one. Received: image_size={image_size}")
    train, test, class_names = LOADERS[name](_place(name, data_directory), image_size, tell)
    if not 0 <= holdout < train.size:
        raise ValueError(
            f"`holdout` must be at least 0 and below {train.size}, the number of training images. "
            f"Received: holdout={holdout}"
        )
    if not holdout and test is None:
        raise ValueError(
            f"{data_directory} has no validation images. Make a folder validation beside train, or hold some training "
            f"images out, for example a tenth of them: `holdout={max(1, train.size // 10)}`"
        )
    trained = train.size - holdout
    validation = train.part(trained, train.size) if holdout else test
    data = Data(train.part(0, trained), validation, test if holdout else None, class_names)
    if holdout and (absent := _absent(validation, class_names)):
        tell(f"of the images that are held out for validation, none is of {finding.some(absent)}")
    return cached(data, cache) if cache else data


def _absent(split: Split, class_names: Sequence[str]) -> list[str]:
    """The classes without an image in a split."""
    images = np.bincount(split.labels, minlength=len(class_names))
    return [name for name, number in zip(class_names, images, strict=True) if not number]


def _telling_scan(tell: Tell) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done == total or done % 32 == 0:
            tell(f"looked through {done:,} of {total:,} shards for where each image begins")

    return progress


def _place(name: str, directory: str | Path | None) -> Path | str | None:
    """The directory as the loader takes it.

    Raises:
        ValueError, FileNotFoundError: if the loader cannot reach it.
    """
    places.require(name, directory)
    if directory is None:
        return None
    return str(directory) if "://" in str(directory) else Path(directory).expanduser()


def cached(data: Data, cache: str) -> Data:
    """The same data, whose encoded images stay in memory once they were read.

    Raises:
        ValueError: if there are none, if they are damaged, or if they take more memory than there is.
    """
    splits = {
        name: replace(split, cache=cache) for name, split in data.splits.items() if isinstance(split, EncodedSplit)
    }
    if not splits:
        raise ValueError(f"`cache` must be None: these images are in memory in any case. Received: cache={cache!r}")
    with naming_damaged_images(data):
        needed = sum(split.cached_bytes() for split in splits.values())
    most = CACHED_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > most:
        others = "None" + " or 'encoded'" * (cache == "decoded")
        raise ValueError(
            f"`cache` must be {others} for images of {needed / 1e9:.1f} GB in a memory of which {most / 1e9:.1f} GB "
            f"may be filled with them. Received: cache={cache!r}"
        )
    return replace(data, **splits)


@contextmanager
def naming_damaged_images(data: Data, tell: Tell = lambda line: None) -> Iterator[None]:
    """Looks for the cause of a decoding error, whose own message need not name the image.

    Loading does not look at images in records, and a file may be damaged later; that shows when an image is decoded.
    Should it happen in the `with` block, every image is decoded, and those that cannot be are named.

    Raises:
        ValueError: if the block failed and there are damaged images.
    """
    try:
        yield
    except roads.damage() as error:
        images = sum(split.size for split in data.splits.values())
        tell(f"an image may be damaged: looking through all {images:,}")
        faults = [fault for split in data.splits.values() for fault in split.damaged()]
        if faults:
            raise ValueError(damage.describe(faults, images)) from error
        raise
