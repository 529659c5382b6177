"""The files of a data set that tensorflow-datasets has prepared, as its `dataset_info.json` lists them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

from keras_resnet.data.tfrecords.imagenet_files import DATASET_INFO

TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
"""The name of a shard where `dataset_info.json` has none."""


class Shard(NamedTuple):
    """A file of records.

    Attributes:
        path: Of the file.
        records: How many are in it.
    """

    path: Path
    records: int


def shards(directory: Path, split: str) -> list[Shard]:
    """The shards of a split, in their order.

    Args:
        directory: Of a version, such as `cifar10/3.0.2`.
        split: Such as `"train"`.

    Raises:
        ValueError: if there is no such split, or it is not in TFRecord files.
    """
    path = directory / DATASET_INFO
    try:
        content = json.loads(path.read_bytes())
        kind = content.get("fileFormat", "tfrecord")
        [info] = [info for info in content["splits"] if info["name"] == split]
        lengths = [int(length) for length in info["shardLengths"]]
        template = info.get("filepathTemplate") or TEMPLATE
        names = [
            _name(
                template,
                DATASET=content["name"],
                SPLIT=split,
                FILEFORMAT=kind,
                SHARD_INDEX=number,
                NUM_SHARDS=len(lengths),
            )
            for number in range(len(lengths))
        ]
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} must list the shards of the {split} split") from error
    if kind != "tfrecord":
        raise ValueError(f"{path} must speak of files of the format tfrecord. Received: {kind}")
    return [Shard(directory / name, length) for name, length in zip(names, lengths, strict=True)]


def _name(template: str, **values: str | int) -> str:
    """The template with the values filled in; numbers have five digits."""
    texts = {key: f"{value:05d}" if isinstance(value, int) else value for key, value in values.items()}
    texts["SHARD_X_OF_Y"] = f"{texts['SHARD_INDEX']}-of-{texts['NUM_SHARDS']}"
    return re.sub(r"{(\w+)}", lambda found: texts[found[1]], template)
