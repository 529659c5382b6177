"""How far images of two roads may differ."""

from __future__ import annotations

import platform

import numpy as np

ONE_STEP = platform.machine() not in ("x86_64", "AMD64")
"""Whether TensorFlow is compiled for a processor that multiplies and adds in one step, with one rounding."""


def assert_same_images(found, expected) -> None:
    """Images of bytes are equal; by one gray level for one of 10,000 values where sums are rounded otherwise."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape) == (np.uint8, expected.shape)
    differences = np.abs(found.astype(int) - expected)
    assert differences.max() <= ONE_STEP
    assert (differences > 0).mean() <= 1e-4
