"""Fixtures: small splits and folders of pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.splits import ArraySplit


@pytest.fixture
def noise() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def array_split(noise) -> ArraySplit:
    """Ten images of 6x5 pixels; the label of each is its index."""
    return ArraySplit(noise.integers(0, 256, (10, 6, 5, 3), np.uint8), np.arange(10))


@pytest.fixture
def write_pictures(noise) -> Callable[..., list[Path]]:
    """Writes pictures of random sizes and kinds into a folder."""

    def write(folder: Path, count: int) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for index in range(count):
            height, width = noise.integers(20, 60, 2)
            image = tf.constant(noise.integers(0, 256, (height, width, 1 if index % 3 == 0 else 3), np.uint8))
            kind, encode = [("jpg", tf.io.encode_jpeg), ("png", tf.io.encode_png)][index % 2]
            path = folder / f"{index}.{kind}"
            path.write_bytes(encode(image).numpy())
            paths.append(path)
        return paths

    return write


@pytest.fixture
def pictures(tmp_path, write_pictures) -> Path:
    """A directory with 7 + 5 training and 3 + 2 validation pictures of cats and dogs."""
    for name, counts in {"train": (7, 5), "validation": (3, 2)}.items():
        for animal, count in zip(("cat", "dog"), counts, strict=True):
            write_pictures(tmp_path / name / animal, count)
    return tmp_path
