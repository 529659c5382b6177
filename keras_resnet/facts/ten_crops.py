"""The ten crops of the paper's tests as facts; the functions are in `data.tensorflow.test_crops` and its twin."""

from __future__ import annotations

POSITIONS = ("top left", "top right", "bottom left", "bottom right", "center")
"""Of the crops, in their order. Their mirror images follow in the same order."""
CROPS = 2 * len(POSITIONS)
