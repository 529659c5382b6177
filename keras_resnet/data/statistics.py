"""Mean and deviation of the training images, for the normalization of the network's input."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from keras_resnet.data import roads
from keras_resnet.data.splits import ArraySplit, Split

SAMPLE = 10_000
"""Encoded images that are decoded for the statistics: the first ones, as their order is random."""
BATCH = 100
"""Images whose sum is taken at once: whole numbers below 2^24, which float32 holds exactly."""


def per_pixel_mean(mean: np.ndarray, mean_square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean image; the scale of the pixels stays as it is (He et al., 2015, Section 4.2)."""
    return mean, np.ones((1, 1, mean.shape[-1]))


def per_channel(mean: np.ndarray, mean_square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel; a constant channel keeps its scale."""
    mean, mean_square = mean.mean((0, 1), keepdims=True), mean_square.mean((0, 1), keepdims=True)
    variance = mean_square - mean**2
    # Below a ten-thousandth of a gray level squared there is only rounding.
    return mean, np.sqrt(np.where(variance > 1e-4, variance, 1.0))


NORMALIZATIONS: dict[str, Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "per-pixel-mean": per_pixel_mean,
    "per-channel": per_channel,
}
"""From the mean and the mean square of each pixel, [height, width, channels], to mean and deviation."""


def mean_and_deviation(split: Split, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The statistics of the training images before augmentation; of encoded ones, of at most 10,000 center crops.

    Args:
        split: The training images.
        kind: `"per-pixel-mean"` or `"per-channel"`.

    Returns:
        Mean and deviation in the units of the pixels (0 to 255), float32: [height, width, channels] and 1 for each
        channel, or both of shape [1, 1, channels].

    Raises:
        ValueError: if `kind` is unknown.

    Differs from the paper:
        The mean of ImageNet is that of 10,000 training images, not of all.
    """
    if kind not in NORMALIZATIONS:
        raise ValueError(f"`kind` must be one of {', '.join(NORMALIZATIONS)}. Received: kind={kind!r}")
    if split.kind == "encoded":
        split = split.part(0, SAMPLE)
    total, total_square = np.zeros(split.image_shape), np.zeros(split.image_shape)
    for images in _batches(split):
        pixels = images.astype(np.float32)
        total += pixels.sum(axis=0)
        total_square += np.square(pixels, out=pixels).sum(axis=0)
    mean, deviation = NORMALIZATIONS[kind](total / split.size, total_square / split.size)
    return mean.astype(np.float32), deviation.astype(np.float32)


def _batches(split: Split) -> Iterator[np.ndarray]:
    """uint8 [images, height, width, channels], not augmented; black ones that fill up add nothing."""
    if isinstance(split, ArraySplit):
        yield from (split.images[start : start + BATCH] for start in range(0, split.size, BATCH))
    else:
        with roads.closing(roads.current().evaluation_batches(split, batch_size=BATCH)) as batches:
            yield from (np.asarray(images) for images, _ in batches)
