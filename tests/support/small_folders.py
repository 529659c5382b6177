"""A small folder of pictures, whose pixels hardly depend on who resizes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def pictures(place: Path) -> str:
    """A folder of 24 + 20 pictures of two classes, in sizes and formats that differ."""
    noise = np.random.default_rng(0)
    for name, counts in {"train": (24, 20), "validation": (2, 2)}.items():
        for animal, count in zip(("cat", "dog"), counts, strict=True):
            (folder := place / name / animal).mkdir(parents=True)
            for index in range(count):
                width, height = noise.integers(20, 60, 2)
                coarse = Image.fromarray(noise.integers(0, 256, (5, 4, 3), np.uint8))
                coarse.resize((int(width), int(height))).save(folder / f"{index}.{('jpg', 'png')[index % 2]}")
    return str(place)
