"""Resizing by weighted sums of rows, then of columns, as TensorFlow's kernels weight them.

The weights of an axis are a sparse matrix: a row for each new pixel, a column for each old one.
"""

from __future__ import annotations

import functools

import numpy as np
from scipy.sparse import csr_array

CACHED = 256
"""Matrices that are kept of each kind, of some 10 KB each: the lengths of axes recur."""


def resize(pixels: np.ndarray, rows: csr_array, columns: csr_array) -> np.ndarray:
    """The pixels of an image at another size.

    Args:
        pixels: uint8 [height, width, 3].
        rows: Weights, float32 [new height, height].
        columns: Weights, float32 [new width, width].

    Returns:
        float32 [new height, new width, 3].
    """
    height, width = pixels.shape[:2]
    summed = rows @ pixels.reshape(height, 3 * width).astype(np.float32)
    return _exchanged(columns @ _exchanged(summed)).reshape(len_of(rows), len_of(columns), 3)


def len_of(weights: csr_array) -> int:
    """New pixels along the axis."""
    return weights.shape[0]


def _exchanged(pixels: np.ndarray) -> np.ndarray:
    """float32 [columns, 3 * rows] of [rows, 3 * columns]: each pixel is moved as one item, which halves the time."""
    return np.ascontiguousarray(pixels.view("V12").T).view(np.float32)


@functools.lru_cache(CACHED)
def area(length: int, size: int) -> csr_array:
    """Weights by which new pixels are the means of what they cover, as in `tf.image.resize(method="area")`."""
    scale = length / size
    start = np.arange(size) * scale
    source = np.floor(start).astype(np.int32)[:, None] + np.arange(int(np.ceil(scale)) + 1, dtype=np.int32)
    covered = np.minimum(source + 1, (start + scale)[:, None]) - np.maximum(source, start[:, None])
    return _matrix(source, np.maximum(covered, 0) / scale, length)


@functools.lru_cache(CACHED)
def bilinear(length: int, size: int) -> csr_array:
    """Weights between the two nearest pixels, not antialiased, as in `tf.image.resize(method="bilinear")`."""
    place = (np.arange(size) + 0.5) * (length / size) - 0.5
    source = np.floor(place).astype(np.int32)
    share = place - source
    return _matrix(source[:, None] + np.arange(2, dtype=np.int32), np.stack([1 - share, share], 1), length)


@functools.lru_cache(CACHED)
def triangle(length: int, size: int, scale: float, translation: float = 0.0) -> csr_array:
    """Weights of an antialiased bilinear filter, as in `tf.raw_ops.ScaleAndTranslate(kernel_type="triangle")`.

    Args:
        length: Of the axis, in pixels.
        size: New pixels.
        scale: New pixels for an old one.
        translation: Place of the start of the axis among the new pixels.
    """
    place = (np.arange(size)[:, None] + 0.5 - translation) / scale
    reach = max(1 / scale, 1.0)
    source = np.ceil(place - reach - 0.5).astype(np.int32) + np.arange(int(2 * reach) + 2, dtype=np.int32)
    weights = np.maximum(1 - np.abs(source + 0.5 - place) / reach, 0) * ((source >= 0) & (source < length))
    return _matrix(source, weights / weights.sum(1, keepdims=True), length)


def _matrix(source: np.ndarray, weights: np.ndarray, length: int) -> csr_array:
    """A sparse matrix of old pixels (int32) and their weights, each [new pixels, taps]; outside the outermost count."""
    size, taps = source.shape
    starts = np.arange(0, size * taps + 1, taps, dtype=np.int32)
    data = weights.astype(np.float32).ravel()
    return csr_array((data, np.clip(source, 0, length - 1).ravel(), starts), shape=(size, length))
