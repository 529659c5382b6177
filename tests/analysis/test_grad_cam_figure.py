"""Figure of a heat map: over all of the image, and nothing but the image beside it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from keras_resnet.analysis import grad_cam_figure

GREEN = np.full((32, 48, 3), (0, 255, 0), np.uint8)


def parts(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """int [height, width, 3]: the left and the right half of a picture."""
    pixels = np.array(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    middle = pixels.shape[1] // 2
    return pixels[:, :middle], pixels[:, middle:]


def colored(pixels: np.ndarray, like) -> np.ndarray:
    return (np.abs(pixels - like).max(axis=-1) < 12).sum()


def test_the_image_is_left_and_the_heat_covers_all_of_it_right():
    image = GREEN.copy()
    image[:, 36:] = (0, 0, 255)
    left, right = parts(grad_cam_figure.draw(image, np.ones((2, 3), "float32"), "cat  93.00%"))
    for color, least in ((image[0, 0], 50_000), (image[0, -1], 15_000)):
        size = colored(left, color)
        assert size > least
        assert colored(right, color) == 0
        assert colored(right, 0.45 * np.array([128, 0, 0]) + 0.55 * color) == pytest.approx(size, rel=0.03)


def test_the_heat_lies_where_it_belongs():
    heat = np.zeros((2, 2), "float32")
    heat[0, 1] = 1
    _, right = parts(grad_cam_figure.draw(GREEN, heat, "title"))
    hot = 0.45 * np.array([128, 0, 0]) + 0.55 * GREEN[0, 0]
    rows, columns = np.nonzero(np.abs(right - hot).max(axis=-1) < 12)
    assert len(rows) > 100
    assert rows.max() < right.shape[0] * 0.6
    assert columns.min() > right.shape[1] * 0.4


def test_a_gray_image_is_drawn_gray():
    left, _ = parts(grad_cam_figure.draw(np.full((8, 8, 1), 77, np.uint8), np.zeros((2, 2), "float32"), "title"))
    assert colored(left, (77, 77, 77)) > 50_000
