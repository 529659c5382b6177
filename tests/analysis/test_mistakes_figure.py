"""Figure of mistaken images: each is drawn, in order, and no more than there are."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from keras_resnet.analysis import mistakes_figure

COLORS = [(255, 0, 0), (0, 160, 0), (0, 0, 255), (200, 0, 200), (0, 160, 160), (250, 140, 0)]


def drawn(images, captions) -> np.ndarray:
    """int [height, width, 3]."""
    content = mistakes_figure.draw(images, captions, "a $title")
    return np.array(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def middle(pixels: np.ndarray, color) -> np.ndarray:
    """The mean place of the pixels of a color: row, column."""
    found = np.argwhere(np.abs(pixels - color).max(axis=-1) < 8)
    assert len(found) > 1000
    return found.mean(axis=0)


def test_the_images_are_drawn_row_by_row():
    images = [np.full((6, 6, 3), color, np.uint8) for color in COLORS]
    pixels = drawn(images, ["$cat", "a\nb", *"cdef"])
    places = [middle(pixels, color) for color in COLORS]
    for before, after in itertools.pairwise(places[:5]):
        assert after[1] > before[1] and after[0] == pytest.approx(before[0], abs=30)
    assert places[5][0] > places[0][0] + 100 and places[5][1] == pytest.approx(places[0][1], abs=2)


def test_a_gray_image_is_drawn_gray_and_no_image_is_a_picture_too():
    assert middle(drawn([np.full((8, 8, 1), 77, np.uint8)], ["8"]), (77, 77, 77)).all()
    assert (drawn([], []) == 255).mean() > 0.9
