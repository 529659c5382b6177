"""The center crop: the test view during a training, and of statistics and predictions."""

from __future__ import annotations

RESIZE = 256 / 224
"""Shorter side of an image over the side of its center crop (He et al., 2015, Section 3.4)."""


def in_words(size: int) -> str:
    """The test view as result.json names it."""
    return f"center {size}x{size} of shorter side {round(size * RESIZE)}, bilinear with antialiasing"
