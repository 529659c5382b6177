"""Weights of ResNet50V2, ResNet101V2 and ResNet152V2 of keras.applications, for networks of ours and back.

Names and kernels are the same. Theirs have a bias in the last convolution of each block and in each projection. What
is added there to the sum of the blocks stays a constant of each channel, also where the sum is subsampled, until the
next projection begins a new sum; and whatever reads the sum is a batch normalization, whose moving mean may be less by
the constant instead. The bias of conv1 has to stay: the pool behind it pads with zeros, to which it is not added.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from keras_resnet.weights.conversion import verbs

OPTIONS: dict[str, Any] = {
    "shortcut": "B",
    "bottleneck_stride": "3x3",
    "preactivation": "slim",
    "pool_padding": "symmetric",
}
"""The arguments with which `ResNet` builds their networks."""
EPSILON = 1.001e-5
"""Of their batch normalization."""
BLOCK = re.compile(r"(conv(\d+)_block(\d+))_preact_bn/moving_mean")


def to_ours(theirs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a network of ours that computes the same, also in training.

    Outputs of blocks differ by the constants; those of normalizations, and all that comes of them, do not.

    Args:
        theirs: Arrays by layer and variable, such as `conv2_block1_3_conv/bias`.

    Raises:
        ValueError: if a bias is missing.
    """
    ours = dict(theirs)
    constant = np.zeros(())
    for block in blocks(theirs):
        mean = f"{block}_preact_bn/moving_mean"
        ours[mean] = theirs[mean] - constant
        if f"{block}_0_conv/kernel" in theirs:
            constant = take_bias(ours, f"{block}_0_conv")
        constant = constant + take_bias(ours, f"{block}_3_conv")
    ours["post_bn/moving_mean"] = theirs["post_bn/moving_mean"] - constant
    return verbs.fold(ours, EPSILON)


def to_theirs(ours: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of their network that computes the same: the biases that ours has not are 0.

    Args:
        ours: Arrays by layer and variable, of a network built with `OPTIONS`.

    Raises:
        ValueError: if the blocks are no bottlenecks.
    """
    kernels = [name for name in ours if re.fullmatch(r"conv\d+_block\d+_[03]_conv/kernel", name)]
    if not any(name.endswith("_3_conv/kernel") for name in kernels):
        raise ValueError("V2 of keras.applications has networks of bottleneck blocks alone. Received: basic blocks")
    biases = {name.replace("kernel", "bias"): np.zeros(ours[name].shape[-1], "float32") for name in kernels}
    return verbs.unfold(ours, EPSILON) | biases


def blocks(arrays: Mapping[str, np.ndarray]) -> Iterator[str]:
    """The names of the blocks, such as `conv2_block1`, from the input on."""
    found = [match for name in arrays if (match := BLOCK.fullmatch(name))]
    yield from (match[1] for match in sorted(found, key=lambda match: (int(match[2]), int(match[3]))))


def take_bias(arrays: dict[str, np.ndarray], layer: str) -> np.ndarray:
    """Removes the bias of a convolution; float64, so that the sum over many blocks loses nothing.

    Raises:
        ValueError: if there is none.
    """
    if f"{layer}/bias" not in arrays:
        raise ValueError(f"The weights must have {layer}/bias, as V2 of keras.applications has. They have not")
    return np.asarray(arrays.pop(f"{layer}/bias"), "float64")
