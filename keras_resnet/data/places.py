"""The directory of a data set: refused where there is none, before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Published(NamedTuple):
    """The names under which a data set was published: an archive, and the folder in it."""

    folder: str
    archive: str


PUBLISHED = {
    "cifar10": Published("cifar-10-batches-bin", "cifar-10-binary.tar.gz"),
    "cifar100": Published("cifar-100-binary", "cifar-100-binary.tar.gz"),
}
"""In their binary version."""
REMOTE = ("imagenet",)
"""The data sets that are also read from gs:// and the like."""


def require(name: str, directory: str | Path | None) -> None:
    """Refuses a directory that cannot hold a data set, as far as that is seen without reading it.

    Args:
        name: Of the data set.
        directory: Of its images; of a distant file system nothing is asked.

    Raises:
        ValueError: if a directory must be given, and is not; or if it cannot be reached.
        FileNotFoundError: if there is no such directory, or the data set is not in it.
    """
    if "://" in str(directory):
        if name not in REMOTE:
            raise ValueError(f"The data set '{name}' must be in a directory of this machine. Received: {directory}")
    else:
        REQUIREMENTS[name](name, Path(directory).expanduser() if directory is not None else None)


def of_tensorflow_datasets() -> Path:
    """Where tensorflow-datasets keeps what it has prepared, unless told otherwise."""
    return Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()


def find_version(name: str, directory: Path | None) -> Path:
    """The directory of the newest version of a data set of tensorflow-datasets.

    Args:
        name: Of the data set.
        directory: Holds it. Defaults to that of tensorflow-datasets.

    Raises:
        FileNotFoundError: if there is none.
    """
    directory = directory or of_tensorflow_datasets()
    versions = [path.parent for path in (directory / name).glob("*.*.*/dataset_info.json")]
    if not versions:
        command = f"tfds.builder('{name}', data_dir='{directory}').download_and_prepare()"
        archive = f"put {PUBLISHED[name].archive} there as it was published, or\n" if name in PUBLISHED else "\n"
        raise FileNotFoundError(
            f"{name} is not in {directory}. Choose another `data_directory`. To get it there: {archive}"
            f'  python -c "import tensorflow_datasets as tfds; {command}"'
        )
    return max(versions, key=lambda path: [int(number) for number in path.name.split(".")])


def find_cifar(name: str, directory: Path | None) -> Path:
    """The directory of the newest version of CIFAR of tensorflow-datasets; without one, what was published of it.

    Args:
        name: A key of `PUBLISHED`.
        directory: Holds it, or is the published folder. Defaults to that of tensorflow-datasets.

    Raises:
        FileNotFoundError: if there is neither.
    """
    directory, published = directory or of_tensorflow_datasets(), PUBLISHED[name]
    there = [directory / published.folder, directory / published.archive]
    if directory.name in published:
        there.append(directory)
    try:
        return find_version(name, directory)
    except FileNotFoundError:
        if found := next((place for place in there if place.exists()), None):
            return found
        raise


def _nothing(name: str, directory: Path | None) -> None:
    """For images that come with a package."""


def _directory(name: str, directory: Path | None) -> None:
    if directory is None:
        raise ValueError(f"`data_directory` must be {CONTENTS[name]}. Received: data_directory=None")
    if not directory.is_dir():
        raise FileNotFoundError(f"There is no directory {directory}. Choose another `data_directory`")


CONTENTS = {"imagenet": "the directory of ImageNet's files", "folder": "a directory of class folders"}
"""The directories that must be given."""

REQUIREMENTS: dict[str, Callable[[str, Path | None], object]] = {
    "digits": _nothing,
    "cifar10": find_cifar,
    "cifar100": find_cifar,
    "imagenet": _directory,
    "folder": _directory,
}
"""What each data set wants."""
