"""Weights by the names of our layers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_resnet.weights.metadata import WeightsMetadata


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights of a network of ours.

    Args:
        arrays: By layer and variable, such as `conv2_block1_1_bn/gamma`, in Keras's order of axes.
        metadata: All that must be known of them beside; None where a file has none.
        layout: The package that they come from, a key of `conversion.LAYOUTS`; None for this one.
    """

    arrays: dict[str, np.ndarray]
    metadata: WeightsMetadata | None
    layout: str | None = None
