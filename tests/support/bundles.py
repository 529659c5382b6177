"""Checkpoints as versions before 0.4 wrote them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_resnet.training.archives import Archive

SUFFIXES = ("data-00000-of-00001", "index")


def write(directory: Path, iteration: int, values: Mapping[str, np.ndarray], progress: Mapping[str, Any]) -> None:
    """Writes a checkpoint in the format of TensorFlow."""
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {**values, "progress": np.array(json.dumps(progress), object), "count": np.array(len(values))}
    with tf.device("CPU:0"):
        tf.raw_ops.SaveV2(
            prefix=str(directory / f"ckpt-{iteration}"),
            tensor_names=list(tensors),
            shape_and_slices=[""] * len(tensors),
            tensors=[tf.convert_to_tensor(value) for value in tensors.values()],
        )


def make_old(directory: Path) -> None:
    """Turns the checkpoints in a directory into those of before."""
    for file in directory.glob("ckpt-*.npz"):
        with file.open("rb") as opened:
            archive = Archive(opened)
            values = {name: archive.array(name) for name in archive.shapes}
        write(directory, int(file.stem.removeprefix("ckpt-")), values, archive.document)
        file.unlink()
