"""Everything in a training that is a variable, as arrays that a checkpoint can hold."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from keras_resnet.training import variable_names


class Variables:
    """The variables of a training on one device by names such as `model/conv1_conv/kernel`.

    Args:
        parts: Variables by path, by the name of what they belong to.
    """

    def __init__(self, parts: Mapping[str, Mapping[str, keras.Variable]]):
        self.common, self.apart = variable_names.named(parts)

    def read(self) -> dict[str, np.ndarray]:
        """Every value; [1, …] where replicas would differ, as a training on several devices has them."""
        values = {name: np.array(variable.value) for name, variable in self.common.items()}
        return values | {name: np.array(variable.value)[None] for name, variable in self.apart.items()}

    def write(self, values: Mapping[str, np.ndarray]) -> None:
        """Sets what `read` gave; of several replicas, the mean."""
        for name, variable in self.common.items():
            variable.assign(values[name])
        for name, variable in self.apart.items():
            rows = values[name]
            variable.assign(rows[0] if len(rows) == 1 else rows.mean(axis=0, dtype="float64"))

    def difference(self, saved: Mapping[str, tuple[int, ...]]) -> str | None:
        """The first variable that is not the same in what was saved, in words; the number of replicas may differ."""
        return variable_names.difference(self.common, self.apart, saved)
