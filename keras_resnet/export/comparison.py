"""Comparison of an exported network with the network that it was made of."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

LIMIT = 1e-4
"""The largest difference between float32 outputs that is rounding, in share of their range."""


@dataclass(frozen=True)
class Comparison:
    """Two networks on the same images.

    Args:
        difference: The largest between two outputs, in share of the range of the first network's outputs.
        same_top_1: Images whose largest output is of the same class.
        images: That were compared.
    """

    difference: float
    same_top_1: int
    images: int

    @property
    def agrees(self) -> bool:
        """Whether the difference is rounding; one that is no number is not."""
        return self.difference <= LIMIT


def compare(outputs: np.ndarray, others: np.ndarray) -> Comparison:
    """Compares two networks' outputs for the same images.

    Args:
        outputs: float32 [images, classes].
        others: Outputs of the exported network, of the same shape.

    Raises:
        ValueError: if the shapes differ.
    """
    if outputs.shape != others.shape:
        raise ValueError(f"`others` must have the shape of `outputs`, {outputs.shape}. Received: {others.shape}")
    largest, span = float(np.abs(outputs - others).max()), float(np.ptp(outputs))
    difference = largest / span if span else (0.0 if largest == 0 else float("inf"))
    return Comparison(difference, int((outputs.argmax(axis=1) == others.argmax(axis=1)).sum()), len(outputs))


def pictures(network: keras.Model, number: int, seed: int = 0) -> np.ndarray:
    """Images for a network to be tried on: 4x4 squares of random colors, the same each time.

    Returns:
        [number, height, width, channels] of 0 to 255, of the type that the network takes.
    """
    [image] = network.inputs
    height, width, channels = image.shape[1:]
    squares = np.random.default_rng(seed).integers(0, 256, (number, 4, 4, channels))
    return squares[:, np.arange(height) * 4 // height][:, :, np.arange(width) * 4 // width].astype(image.dtype)


def softmax(logits: np.ndarray) -> np.ndarray:
    """The scores of logits, over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
