"""The directory of a data set: refused where there is none, before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

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
        raise FileNotFoundError(
            f"{name} is not in {directory}. Choose another `data_directory`. To get it there:\n"
            f'  python -c "import tensorflow_datasets as tfds; {command}"'
        )
    return max(versions, key=lambda path: [int(number) for number in path.name.split(".")])


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
    "cifar10": find_version,
    "cifar100": find_version,
    "imagenet": _directory,
    "folder": _directory,
}
"""What each data set wants."""
