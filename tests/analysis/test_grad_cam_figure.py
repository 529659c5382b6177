"""Figure of a heat map: over all of the image, and nothing but the image beside it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from keras_resnet.analysis import grad_cam_figure

GREEN = np.full((32, 48, 3), (0, 255, 0), np.uint8)


def parts(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """int [height, width, 3]: the left part of a picture, and the right one with its bar."""
    pixels = np.array(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    middle = int(pixels.shape[1] * 0.45)
    return pixels[:, :middle], pixels[:, middle:]


def under(heat: float, color) -> np.ndarray:
    """A color in gray under heat."""
    return 0.6 * 255 * np.array(colormaps["inferno"](heat)[:3]) + 0.4 * np.mean(color)


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
    assert colored(right, under(1.0, (0, 255, 0))) == pytest.approx(
        sum(colored(left, image[0, column]) for column in (0, -1)), rel=0.03
    )


def test_the_heat_lies_where_it_belongs():
    heat = np.zeros((2, 2), "float32")
    heat[0, 1] = 1
    _, right = parts(grad_cam_figure.draw(GREEN, heat, "title"))
    image = right[:, : int(right.shape[1] * 0.8)]
    rows, columns = np.nonzero(np.abs(image - under(1.0, GREEN[0, 0])).max(axis=-1) < 12)
    assert len(rows) > 100
    assert rows.max() < right.shape[0] * 0.6
    assert columns.min() > right.shape[1] * 0.4


def test_a_gray_image_is_drawn_gray():
    left, _ = parts(grad_cam_figure.draw(np.full((8, 8, 1), 77, np.uint8), np.zeros((2, 2), "float32"), "title"))
    assert colored(left, (77, 77, 77)) > 50_000


def test_a_bar_shows_the_colors_of_the_heat_from_dark_to_bright():
    content = grad_cam_figure.draw(GREEN, np.zeros((2, 2), "float32"), "title")
    bar = np.array(Image.open(io.BytesIO(content)).convert("L")).astype(int)
    column = bar[150:430, int(bar.shape[1] * 0.923)]
    assert (np.diff(column) <= 0).all(), "brighter from the bottom to the top"
    assert column[0] > column[-1] + 80
