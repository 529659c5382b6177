"""The identity of images: what tells those that a run is trained on from all others, and names what differs.

It does not depend on where the images lie. Pixels stand for images in memory, positions in the shards for records, and
names and sizes for files, with a look into a few of each class.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.data.datasets.loading import Data
from keras_resnet.data.encoded_splits import FileSplit
from keras_resnet.data.preparation.descriptions import MANIFEST
from keras_resnet.data.splits import PARALLEL_CALLS, ArraySplit, Split
from keras_resnet.data.tfrecords.records import RecordSplit
from keras_resnet.host import storage

DIGITS = 16
"""Hexadecimal digits of a digest."""
PROBED = 4
"""Files of a class into which the identity looks."""
MIDDLE = 1024
"""Bytes from their middle that count."""

Describe = Callable[[np.ndarray], tuple[bytes, str]]
"""From indices, int64 [n], to what stands for those images in their order, and the first by its name, for people."""


def of(data: Data) -> dict[str, Any]:
    """The identity of the images of all splits, fit for JSON; see `runs.data_identity`."""
    return {
        "class_names": list(data.class_names),
        "splits": {name: of_split(split, data.class_names) for name, split in data.splits.items()},
    }


def of_split(split: Split, class_names: tuple[str, ...]) -> dict[str, Any]:
    """The identity of the images of a split: counts, digests and the first images, for all and by class."""
    describe = next((make(split, class_names) for kind, make in DESCRIPTIONS.items() if isinstance(split, kind)), None)
    # The order within a class counts, too: it decides which images a training draws.
    by_label = np.argsort(split.labels, kind="stable")
    counts = np.bincount(split.labels, minlength=len(class_names))
    parts = np.split(by_label, np.cumsum(counts)[:-1])
    contents, firsts = zip(*(describe(indices) if describe else (b"", "") for indices in parts), strict=True)
    digests = [_digest(content) if content else "" for content in contents]
    return {
        "images": split.size,
        "digest": _digest(split.labels.tobytes() + "".join(digests).encode()),
        "images_by_class": counts.tolist(),
        "digests_by_class": digests,
        "first_by_class": list(firsts),
        "manifest": _manifest(split) if isinstance(split, RecordSplit) else None,
    }


def _pixels(split: ArraySplit, class_names: tuple[str, ...]) -> Describe:
    return lambda indices: (split.images[indices].tobytes(), "")


def _positions(split: RecordSplit, class_names: tuple[str, ...]) -> Describe:
    shards = np.array([path.rpartition("/")[2].encode() for path in split.paths])
    return lambda indices: (shards[split.shard[indices]].tobytes() + split.offset[indices].tobytes(), "")


def _names_and_sizes(split: FileSplit, class_names: tuple[str, ...]) -> Describe:
    """Names are those within the folder of the class, so that two folders that are exchanged keep their digests."""
    root = os.path.commonpath([min(split.paths), max(split.paths)])  # of all: those two are the ends of their order
    with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
        sizes = list(pool.map(os.path.getsize, split.paths))

    def line(index: int) -> str:
        path = split.paths[index]
        name = path[len(root) + 1 :] or Path(path).name
        return f"{name.removeprefix(class_names[split.labels[index]] + os.sep)} of {sizes[index]} bytes"

    def describe(indices: np.ndarray) -> tuple[bytes, str]:
        lines = [line(index).encode(errors="surrogateescape") for index in indices]
        # Numbered files of one size have the same names and sizes in every class.
        some = indices[np.linspace(0, len(indices) - 1, min(len(indices), PROBED), dtype=int)]
        first = min(range(len(lines)), key=lines.__getitem__, default=None)
        content = b"\0".join([*lines, *(_middle(split.paths[index]) for index in some)])
        if first is None:
            return content, ""
        return content, f"{lines[first].decode(errors='replace')}, {_digest(_middle(split.paths[indices[first]]))}"

    return describe


def _middle(path: str) -> bytes:
    """Bytes from the middle of a file."""
    with Path(path).open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - MIDDLE) // 2)
        return file.read(MIDDLE)


DESCRIPTIONS: dict[type[Split], Callable[[Any, tuple[str, ...]], Describe]] = {
    ArraySplit: _pixels,
    RecordSplit: _positions,
    FileSplit: _names_and_sizes,
}
"""What stands for the images of a split, by its kind; of any other kind, the labels alone count."""


def _manifest(split: RecordSplit) -> str | None:
    """The digest of the checksums that a manifest beside the shards has of them; `None` without one."""
    directory, names = split.paths[0].rpartition("/")[0], {path.rpartition("/")[2] for path in split.paths}
    try:
        shards = json.loads(storage.read(f"{directory}/{MANIFEST}"))["shards"].values()
        sums = {shard["file"]: shard["sha256"] for part in shards for shard in part if shard["file"] in names}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or somebody else's
        return None
    return _digest(json.dumps(sums, sort_keys=True).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGITS]
