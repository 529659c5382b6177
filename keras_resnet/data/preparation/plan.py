"""Plan of a preparation: the images, their order, the shards, and the settings."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from keras_resnet.data.tfrecords.imagenet_files import NAME, SHARD

VERSION = "5.1.0"
FULL = {"train": 1_281_167, "validation": 50_000}
"""Images of ILSVRC2012."""
FULL_CLASSES = 1000
HIDDEN = ".preparation"
"""The folder of what a preparation knows until it is finished."""
AGAIN = "Make room there or allow it, then start the same command again: finished shards are kept"
"""The remedy where a file cannot be written."""
FRAME = 16
"""Bytes of a record beside its data: its length, and a checksum of each."""

Record = dict[str, Any]
"""Description of a shard: file, images, bytes, sha256, offsets, labels, repaired, refused, …"""

KNOWN = {"images", "sha256", "resized", "offsets", "labels", "repaired", "refused", "lost"}
"""The keys required of a finished shard; an older version of this code may have noted less."""


class Entry(NamedTuple):
    """An image: what it shows, and where its bytes lie, alone in a file or within an archive."""

    name: str
    label: int
    file: str
    offset: int
    size: int


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that decides the bytes of the result.

    Args:
        class_names: In the order of the labels.
        splits: The images of each split, in any order.
        shards: How many each split gets.
        shorter_side: As in `repairs.prepare`.
        quality: As in `repairs.prepare`.
    """

    class_names: tuple[str, ...]
    splits: Mapping[str, Sequence[Entry]]
    shards: Mapping[str, int]
    shorter_side: int | None = None
    quality: int = 95

    @cached_property
    def ordered(self) -> dict[str, list[Entry]]:
        """The images of each split in the order of a hash of their names: any part of it holds every class."""

        def position(entry: Entry) -> bytes:
            return hashlib.sha256(os.fsencode(f"{self.class_names[entry.label]}/{entry.name}")).digest()

        return {split: sorted(entries, key=position) for split, entries in self.splits.items()}

    @cached_property
    def fingerprint(self) -> str:
        """A name of the images and settings; sizes of files are left out, so that a repaired image may replace one."""
        quality = None if self.shorter_side is None else self.quality
        settings = [NAME, VERSION, self.class_names, self.shorter_side, quality, sorted(self.shards.items())]
        digest = hashlib.sha256(json.dumps(settings).encode())
        for split, entries in sorted(self.ordered.items()):
            digest.update(os.fsencode("\n".join([split, *(f"{entry.label}/{entry.name}" for entry in entries)])))
        return digest.hexdigest()

    def shard_plans(self, directory: Path, allow_unreadable: bool) -> Iterator[ShardPlan]:
        """The shards of every split."""
        for split, entries in self.ordered.items():
            count = self.shards[split]
            for index in range(count):
                part = entries[index * len(entries) // count : (index + 1) * len(entries) // count]
                file = directory / SHARD.format(split=split, number=index, count=count)
                yield ShardPlan(
                    file, split, index, part, self.class_names, self.shorter_side, self.quality, allow_unreadable
                )


@dataclass(frozen=True)
class ShardPlan:
    """Everything that a worker needs to write one shard."""

    file: Path
    split: str
    index: int
    entries: Sequence[Entry]
    class_names: tuple[str, ...]
    shorter_side: int | None
    quality: int
    allow_unreadable: bool

    def name_of(self, entry: Entry) -> str:
        """An image of the shard, as people find it in the source."""
        return f"{self.split}/{self.class_names[entry.label]}/{entry.name}"

    @property
    def record_file(self) -> Path:
        """The file with the description of the finished shard."""
        return self.file.parent / HIDDEN / f"{self.file.name}.json"

    @property
    def inputs(self) -> str:
        """A name of the images with their sizes: of a changed image, the shard is made again."""
        named = "\n".join(f"{e.label}/{e.name}/{e.size}" for e in self.entries)
        return hashlib.sha256(os.fsencode(named)).hexdigest()

    def finished(self) -> Record | None:
        """The record of the shard if it is whole."""
        try:
            record = dict(json.loads(self.record_file.read_text(encoding="utf-8")))
            whole = record["bytes"] == self.file.stat().st_size and record["inputs"] == self.inputs
            whole = whole and set(record) >= KNOWN
            return record if whole and (self.allow_unreadable or not record["refused"]) else None
        except (OSError, ValueError, KeyError, TypeError):  # none there, or damaged: the shard is made again
            return None
