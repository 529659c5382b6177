"""CIFAR-10 and CIFAR-100 as tensorflow-datasets keeps them on disk, decoded once into memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_resnet.data import places
from keras_resnet.data.splits import PARALLEL_CALLS, ArraySplit
from keras_resnet.facts.datasets import DATASETS


def load(name: str, directory: Path | None = None) -> tuple[ArraySplit, ArraySplit, tuple[str, ...]]:
    """Training split, test split and class names. Nothing is downloaded.

    Args:
        name: `"cifar10"` or `"cifar100"`.
        directory: The data directory of tensorflow-datasets, which holds `name`. Defaults to tensorflow-datasets' own.

    Raises:
        FileNotFoundError: if the data set is not there.
        ValueError: if its files are damaged or hold something else.
    """
    # Imported late: tensorflow-datasets is an extra, and only these data sets need it.
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(places.find_version(name, directory))
    return read(builder, "train"), read(builder, "test"), DATASETS[name].class_names


def read(builder: Any, split: str) -> ArraySplit:
    """All images of a split, in the order of its files.

    Raises:
        ValueError: if the files are damaged or hold something else.
    """
    import tensorflow_datasets as tfds

    options = tf.data.Options()
    options.autotune.enabled = False
    try:
        dataset = builder.as_dataset(
            split=split,
            decoders=tfds.decode.PartialDecoding({"image": True, "label": True}),
            # One file after the other, so that the order is the same on every machine.
            read_config=tfds.ReadConfig(
                interleave_cycle_length=1, num_parallel_calls_for_decode=PARALLEL_CALLS, options=options
            ),
        )
        # One batch of everything: no image is ever touched from Python.
        everything = next(dataset.batch(builder.info.splits[split].num_examples).as_numpy_iterator())
        return ArraySplit(everything["image"], everything["label"].astype(np.int64))
    except (tf.errors.OpError, KeyError, StopIteration, ValueError) as error:
        cause = ", ".join(damaged(builder.info.splits[split].filepaths)) or error
        raise ValueError(
            f"The {split} split of {builder.name} in {builder.data_dir} is damaged or incomplete; "
            f"remove that directory and get the data set again ({cause})"
        ) from error


def damaged(shards: Iterable[Any]) -> list[str]:
    """Paths of the files that are missing, or whose records are not whole."""

    def is_whole(shard: str) -> bool:
        try:
            for _ in tf.data.TFRecordDataset(shard):
                pass
        except tf.errors.OpError:
            return False
        return True

    return [str(shard) for shard in shards if not is_whole(str(shard))]
