"""Checkpoints of versions before 0.4, which are bundles of TensorFlow: they are read, and no longer written."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import tensorflow as tf

PROGRESS = "progress"
"""The tensor in a bundle that holds the progress, as JSON."""

COUNT = "count"
"""The tensor that holds how many arrays the bundle has.

TensorFlow passes over a damaged block of an index as though its arrays had never been saved. An index has a second
block from some 10,000 arrays on.
"""

OF_0_1 = "_CHECKPOINTABLE_OBJECT_GRAPH"
"""A tensor of the checkpoints of version 0.1.0, which TensorFlow's own `Checkpoint` wrote."""


class Bundle:
    """A bundle, to be read array by array; whatever is damaged raises an error of one kind or another.

    Args:
        path: Of its index.
    """

    def __init__(self, path: str):
        # What `tf.train.load_checkpoint` returns, which takes a path of some file systems for a directory.
        self._reader = tf.compat.v1.train.NewCheckpointReader(path.removesuffix(".index"))
        self.shapes = {name: tuple(shape) for name, shape in self._reader.get_variable_to_shape_map().items()}
        self.of_0_1 = OF_0_1 in self.shapes
        self.document: Any = None
        if not self.of_0_1:
            self._check_count()
            self.document = json.loads(self._reader.get_tensor(PROGRESS))
            del self.shapes[PROGRESS], self.shapes[COUNT]

    def array(self, name: str) -> np.ndarray:
        """One array; its checksum is checked on the way."""
        return np.asarray(self._reader.get_tensor(name))

    def _check_count(self) -> None:
        count = int(self._reader.get_tensor(COUNT)) + len((PROGRESS, COUNT))
        if len(self.shapes) != count:
            raise ValueError(f"its index has {len(self.shapes)} of {count} entries")
