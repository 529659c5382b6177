"""From the name of a data set to its splits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_resnet.data import cifar, digits, folder
from keras_resnet.data.splits import Split

Loader = Callable[[Path | None, int | None], tuple[Split, Split | None, tuple[str, ...]]]

LOADERS: dict[str, Loader] = {
    "digits": lambda directory, image_size: digits.load(),
    "cifar10": lambda directory, image_size: cifar.load("cifar10", directory),
    "cifar100": lambda directory, image_size: cifar.load("cifar100", directory),
    "folder": folder.load,
}
"""From data directory and image size to the training split, the test split if there is one, and the class names."""


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
    name: str, data_directory: str | Path | None = None, *, holdout: int = 0, image_size: int | None = None
) -> Data:
    """Reads a data set.

    Args:
        name: A key of `LOADERS`.
        data_directory: Where the data set lies; see its loader. `digits` needs none.
        holdout: Training images, the last ones, that are kept from training and serve as validation. With 0 the test
            images serve as validation.
        image_size: Side of the square views of a `folder`, in pixels. Defaults to 224.

    Raises:
        FileNotFoundError: if the data set is not there.
        ValueError: if an argument or the data set makes no sense.
    """
    if name not in LOADERS:
        raise ValueError(f"`name` must be one of {', '.join(LOADERS)}. Received: name={name!r}")
    if image_size is not None and name != "folder":
        raise ValueError(f"`image_size` must be None: the images of {name} have one. Received: image_size={image_size}")
    directory = None if data_directory is None else Path(data_directory).expanduser()
    train, test, class_names = LOADERS[name](directory, image_size)
    if not 0 <= holdout < train.size:
        raise ValueError(
            f"`holdout` must be at least 0 and below {train.size}, the number of training images. "
            f"Received: holdout={holdout}"
        )
    if not holdout:
        if test is None:
            raise ValueError(
                f"{directory} has no validation images. Make a folder `validation` beside `train`, "
                "or hold some training images out, for example a tenth of them: "
                f"--data.holdout {max(1, train.size // 10)}"
            )
        return Data(train, test, None, class_names)
    trained = train.size - holdout
    return Data(train.part(0, trained), train.part(trained, train.size), test, class_names)


@contextmanager
def naming_damaged_images(data: Data) -> Iterator[None]:
    """Looks for the cause of a decoding error: TensorFlow's message does not name the file.

    Loading reads only both ends of every file; damage in between, or after loading, shows when an image is decoded.
    Should that happen in the `with` block, every file is decoded, and those that cannot be are named.

    Raises:
        ValueError: if the block failed and there are damaged files.
    """
    try:
        yield
    except tf.errors.OpError as error:
        damaged = [f"{path}: damaged" for split in data.splits.values() for path in split.damaged()]
        if damaged:
            images = sum(split.size for split in data.splits.values())
            raise ValueError(folder.describe_faults(damaged, images)) from error
        raise
