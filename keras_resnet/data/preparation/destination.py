"""Checks of the directory that the shards go to: nothing else in it, and enough space."""

from __future__ import annotations

import shutil
from pathlib import Path

from keras_resnet.data.preparation.plan import VERSION, Plan
from keras_resnet.data.tfrecords.imagenet_files import DATASET_INFO, NAME

DATA_SETS = (DATASET_INFO, f"*/{DATASET_INFO}", f"*/*/{DATASET_INFO}")
"""Files by which a data set of tensorflow-datasets (NAME/[CONFIG/]VERSION) is known from other folders."""
RESIZED = 0.5
"""Largest share of the bytes of ImageNet after resizing to a shorter side of 500 pixels; a guess that errs upwards."""
EXTRA = 150
"""Bytes of an image beside its own: the name, the label, and its place in the index."""


def directory_in(destination: Path) -> Path:
    """The directory of the shards in a data directory of tensorflow-datasets."""
    return destination / NAME / VERSION


def check_destination(destination: Path) -> None:
    """Refuses a directory of anything but data sets of tensorflow-datasets, which may lie beside this one.

    Raises:
        ValueError: if there is something else.
    """
    if not destination.exists():
        return
    if not destination.is_dir():
        raise ValueError(f"`destination` must be a directory. It is a file: {destination}")
    for entry in destination.iterdir():
        known = entry.name == NAME or entry.name[0] == "." or any(any(entry.glob(pattern)) for pattern in DATA_SETS)
        if not known:
            raise ValueError(
                f"`destination` must be empty, or hold data sets. {destination} holds something else: {entry.name}"
            )


def check_space(plan: Plan, directory: Path) -> None:
    """Refuses to begin where the disk is too small.

    Raises:
        ValueError: if it will not.
    """
    images = [entry for entries in plan.splits.values() for entry in entries]
    needed = sum(entry.size for entry in images) * (RESIZED if plan.shorter_side else 1) + EXTRA * len(images)
    # Also what killed workers left, which is removed first.
    needed -= sum(file.stat().st_size for file in directory.rglob("*.tfrecord-*"))
    existing = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise ValueError(
            f"{directory} needs about {needed / 1e9:.1f} GB more, and {free / 1e9:.1f} GB are free there. Make room, "
            "choose another `destination`, or `shorter_side=500`"
        )
