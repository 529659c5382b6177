"""The paper's test views of images of any size as facts: the center crop, and the ten crops.

The functions are in `data.tensorflow` and `data.grain`, in `center_crop` and `test_crops` of each.
"""

from __future__ import annotations

RESIZE = 256 / 224
"""Shorter side of an image over the side of its center crop (He et al., 2015, Section 3.4)."""
POSITIONS = ("top left", "top right", "bottom left", "bottom right", "center")
"""Of the ten crops, in their order. Their mirror images follow in the same order."""
CROPS = 2 * len(POSITIONS)


def in_words(size: int) -> str:
    """The center crop as result.json names it."""
    return f"center {size}x{size} of shorter side {round(size * RESIZE)}, bilinear with antialiasing"
