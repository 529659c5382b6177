"""Resizing as TensorFlow's kernels do it: the same weights and sums in float32, in the same order.

Weights are a sparse matrix: a row for each new pixel along an axis, a column for each old one. Where TensorFlow is
compiled without fused multiplication and addition, as for x86, the results are equal to the bit.
"""

from __future__ import annotations

import functools

import numpy as np
from scipy.sparse import csr_array

CACHED = 256
"""Matrices of a kind that are kept, of some 10 KB each: the lengths of axes recur."""


def area(pixels: np.ndarray, size: int) -> np.ndarray:
    """A square whose pixels are the means of what they cover, as `tf.image.resize(method="area")`.

    Args:
        pixels: uint8 [height, width, 3], none of the sides below `size`.
        size: Side of the square, in pixels.

    Returns:
        float32 [size, size, 3].
    """
    height, width = pixels.shape[:2]
    columns = _covered(width, size) @ _exchanged(pixels).astype(np.float32)
    sums = _covered(height, size) @ _exchanged(columns.reshape(size, height, 3))
    share = np.float32(1) / (_ratio(height, size) * _ratio(width, size))
    return (sums * share).reshape(size, size, 3)


def bilinear(pixels: np.ndarray, size: int) -> np.ndarray:
    """A square interpolated between the nearest pixels, as `tf.image.resize(method="bilinear")` without antialiasing.

    Args:
        pixels: uint8 [height, width, 3].
        size: Side of the square, in pixels.

    Returns:
        float32 [size, size, 3].
    """
    height = len(pixels)
    columns = _between(_exchanged(pixels).astype(np.float32), size)
    return _between(_exchanged(columns.reshape(size, height, 3)), size).reshape(size, size, 3)


def antialiased(
    pixels: np.ndarray,
    shape: tuple[int, int],
    scales: tuple[np.float32, np.float32],
    translations: tuple[np.float32, np.float32] = (np.float32(0), np.float32(0)),
) -> np.ndarray:
    """An image by an antialiased bilinear filter, as `tf.raw_ops.ScaleAndTranslate(kernel_type="triangle")`.

    Args:
        pixels: uint8 [height, width, 3].
        shape: Height and width of the result, in pixels.
        scales: New pixels for an old one, of the height and of the width.
        translations: Where the upper and the left edge come to lie, in new pixels.

    Returns:
        float32 [*shape, 3].
    """
    height, width = pixels.shape[:2]
    rows, columns = map(_triangle, (height, width), shape, scales, translations)
    summed = rows @ pixels.reshape(height, 3 * width).astype(np.float32)
    sums = columns @ _exchanged(summed.reshape(shape[0], width, 3))
    return _exchanged(sums.reshape(shape[1], shape[0], 3)).reshape(*shape, 3)


def _exchanged(pixels: np.ndarray) -> np.ndarray:
    """[width, 3 * height] of [height, width, 3]."""
    height, width, channels = pixels.shape
    exchanged = np.empty((width, height, channels), pixels.dtype)
    for channel in range(channels):  # takes half the time of all at once
        exchanged[:, :, channel] = pixels[:, :, channel].T
    return exchanged.reshape(width, channels * height)


def _ratio(length: int, size: int) -> np.float32:
    """Old pixels for a new one."""
    return np.float32(length) / np.float32(size)


@functools.lru_cache(CACHED)
def _covered(length: int, size: int) -> csr_array:
    """float32 [size, length]: the parts of old pixels that new ones cover, in old pixels."""
    ratio, new = _ratio(length, size), np.arange(size, dtype=np.float32)[:, None]
    start, end = new * ratio, (new + 1) * ratio
    old = np.floor(start) + np.arange(int(ratio) + 2, dtype=np.float32)
    first = np.where(old + 1 > end, ratio, old + 1 - start)
    others = np.where(old + 1 > end, end - old, np.float32(1))
    return _matrix(old, np.where(old < start, first, others) * (old < np.ceil(end)), length)


def _between(lines: np.ndarray, size: int) -> np.ndarray:
    """float32 [size, values], interpolated between the lines of [length, values]."""
    length = len(lines)
    place = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * _ratio(length, size) - np.float32(0.5)
    below = np.floor(place)
    first = lines[np.maximum(below, 0).astype(int)]
    step = lines[np.minimum(np.ceil(place), length - 1).astype(int)]
    step -= first
    step *= (place - below)[:, None]
    first += step
    return first


@functools.lru_cache(CACHED)
def _triangle(length: int, size: int, scale: np.float32, translation: np.float32) -> csr_array:
    """float32 [size, length]: the weights of an antialiased bilinear filter, whose sum for a new pixel is 1."""
    half, inverse = np.float32(0.5), np.float32(1) / scale
    place = (np.arange(size, dtype=np.float32)[:, None] + half) * inverse + -inverse * translation
    reach = max(inverse, np.float32(1))
    start = np.clip(np.ceil(place - reach - half), 0, length - 1)
    end = np.clip(np.floor(place + reach - half), 0, length - 1)
    old = start + np.arange(2 * int(np.ceil(reach)) + 1, dtype=np.float32)
    distance = np.abs((old + half - place) * (np.float32(1) / reach))
    weights = np.maximum(1 - distance, 0) * (old <= end)
    total = np.add.accumulate(weights, axis=1)[:, -1:]
    return _matrix(old, weights * (np.float32(1) / total), length)


def _matrix(old: np.ndarray, weights: np.ndarray, length: int) -> csr_array:
    """A sparse matrix of old pixels and their weights, float32 [new pixels, taps] both; outside the outermost count."""
    size, taps = old.shape
    starts = np.arange(0, size * taps + 1, taps, dtype=np.int32)
    return csr_array((weights.ravel(), np.clip(old, 0, length - 1).astype(np.int32).ravel(), starts), (size, length))
