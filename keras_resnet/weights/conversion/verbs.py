"""Folding of other frameworks' biases, factors and epsilons into our moving statistics, and back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

EPSILON = 1e-5
"""Of our batch normalization."""


def fold(theirs: Mapping[str, np.ndarray], epsilon: float = EPSILON) -> dict[str, np.ndarray]:
    """The arrays of a network of ours that computes the same, also in training.

    A bias that goes into batch normalization is taken off its mean. Caffe's statistics are sums, to be divided by a
    factor; a factor of 0 means that they are 0.

    Args:
        theirs: Arrays by the names of our variables, and `…_conv/bias` and `…_bn/factor` where there are such.
        epsilon: Of their batch normalization.

    Returns:
        float32, without the biases and factors that were folded.
    """
    ours = dict(theirs)
    for layer in (name.removesuffix("/moving_mean") for name in theirs if name.endswith("/moving_mean")):
        factor = float(np.squeeze(ours.pop(f"{layer}/factor", np.ones(1))))
        scale = 1 / factor if factor else 0.0
        bias = ours.pop(f"{layer.removesuffix('bn')}conv/bias", 0.0)
        mean, variance = (np.asarray(theirs[f"{layer}/moving_{moment}"], "float64") for moment in ("mean", "variance"))
        ours[f"{layer}/moving_mean"] = mean * scale - bias
        ours[f"{layer}/moving_variance"] = variance * scale + (epsilon - EPSILON)
    return {name: np.asarray(array, "float32") for name, array in ours.items()}


def unfold(ours: Mapping[str, np.ndarray], epsilon: float = EPSILON, *, biases: bool = False) -> dict[str, np.ndarray]:
    """The arrays of a network of theirs that computes the same.

    Args:
        ours: Arrays by the names of our variables.
        epsilon: Of their batch normalization. Where it is greater, variances may fall below zero by the difference.
        biases: Whether their convolutions have biases; they are 0.

    Returns:
        float32.
    """
    theirs = dict(ours)
    for name, array in ours.items():
        layer, variable = name.split("/")
        if variable == "moving_variance":
            theirs[name] = np.asarray(array, "float64") - (epsilon - EPSILON)
        elif biases and layer.endswith("_conv"):
            theirs[f"{layer}/bias"] = np.zeros(array.shape[-1])
    return {name: np.asarray(array, "float32") for name, array in theirs.items()}
