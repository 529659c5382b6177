"""Views of images against plain numpy."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet import config
from keras_resnet.data.transforms import (
    AUGMENTATIONS,
    PHOTOGRAPH_AUGMENTATIONS,
    center_crop,
    crop,
    flip,
    random_resized_crop,
)


@pytest.mark.parametrize("table", [AUGMENTATIONS, PHOTOGRAPH_AUGMENTATIONS])
def test_the_tables_hold_what_a_recipe_can_name(table):
    assert set(table) == set(get_args(config.Augmentation))


@pytest.mark.parametrize("padding", [0, 1, 4])
def test_crop_is_slicing(noise, padding):
    images = noise.integers(0, 256, (40, 6, 5, 3), np.uint8)
    draws = noise.random((40, 2), np.float32)
    padded = np.pad(images, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
    offsets = np.floor(draws * (2 * padding + 1)).astype(int)
    expected = [image[y : y + 6, x : x + 5] for image, (y, x) in zip(padded, offsets, strict=True)]
    np.testing.assert_array_equal(crop(tf.constant(images), tf.constant(draws), padding), expected)


def test_crop_reaches_both_ends():
    """A draw of 0 gives the first offset, the largest float32 below 1 the last; the middle is the image itself."""
    image = np.arange(1, 26, dtype=np.uint8).reshape(1, 5, 5, 1)
    first, middle, last = (
        crop(tf.constant(image), tf.fill([1, 2], np.float32(draw)), 2).numpy()[0, ..., 0]
        for draw in (0, 0.5, np.nextafter(np.float32(1), np.float32(0)))
    )
    np.testing.assert_array_equal(first, np.pad(image[0, :3, :3, 0], [(2, 0), (2, 0)]))
    np.testing.assert_array_equal(middle, image[0, ..., 0])
    np.testing.assert_array_equal(last, np.pad(image[0, 2:, 2:, 0], [(0, 2), (0, 2)]))


def test_flip_mirrors_half_of_the_images(noise):
    images = noise.integers(0, 256, (4, 3, 5, 1), np.uint8)
    flipped = flip(tf.constant(images), tf.constant([0.0, 0.5, 0.49, 0.99])).numpy()
    np.testing.assert_array_equal(flipped[[0, 2]], images[[0, 2], :, ::-1])
    np.testing.assert_array_equal(flipped[[1, 3]], images[[1, 3]])


def test_crop_flip_is_crop_then_flip(noise):
    images = tf.constant(noise.integers(0, 256, (20, 6, 5, 3), np.uint8))
    draws = tf.constant(noise.random((20, 3), np.float32))
    expected = flip(crop(images, draws[:, :2], 4), draws[:, 2])
    np.testing.assert_array_equal(AUGMENTATIONS["crop-flip"].apply(images, draws, 4), expected)


def gradient(height, width):
    """An image whose red is the row and whose green is the column."""
    rows, columns = np.mgrid[:height, :width]
    return tf.constant(np.stack([rows, columns, 0 * rows], axis=-1).astype(np.uint8))


@pytest.mark.parametrize(("height", "width"), [(96, 128), (128, 96), (64, 64)])
def test_center_crop_shows_the_middle(height, width):
    """The resized shorter side is 8/7 of the crop, so the crop spans 7/8 of it, in both directions."""
    view = center_crop(gradient(height, width), 56).numpy().astype(float)
    assert view.shape == (56, 56, 3)
    span = min(height, width) * 7 / 8
    for values, extent in [(view[:, 0, 0], height), (view[0, :, 1], width)]:
        np.testing.assert_allclose([values[0], values[-1]], [(extent - span) / 2, (extent + span) / 2 - 1], atol=1.5)


def test_random_resized_crop_of_everything_is_a_resize():
    image = gradient(60, 60)
    view = random_resized_crop(image, tf.constant([1.0, 0.5, 0.3, 0.9]), 30)
    np.testing.assert_allclose(view, tf.image.resize(image, [30, 30], antialias=True), atol=0.51)


def test_random_resized_crop_keeps_the_shares_it_promises(noise):
    """On a gradient the first and the last pixel of a view tell which rectangle it shows."""
    image = gradient(200, 240)
    areas, ratios = [], []
    for draws in noise.random((100, 4), np.float32):
        view = random_resized_crop(image, tf.constant(draws), 32).numpy().astype(float)
        height, width = (view[-1, 0, 0] - view[0, 0, 0]) * 32 / 31, (view[0, -1, 1] - view[0, 0, 1]) * 32 / 31
        areas.append(height * width / (200 * 240))
        ratios.append(width / height)
    assert 0.05 < min(areas) < 0.15 and 0.85 < max(areas) <= 1.05
    assert 0.7 < min(ratios) < 0.85 and 1.2 < max(ratios) < 1.45


def test_random_resized_crop_reaches_all_sides():
    image = gradient(200, 240)
    first = random_resized_crop(image, tf.constant([0.2, 0.5, 0.0, 0.0]), 32).numpy().astype(float)
    last = random_resized_crop(image, tf.constant([0.2, 0.5, 0.999, 0.999]), 32).numpy().astype(float)
    np.testing.assert_allclose(first[0, 0, :2], [0, 0], atol=2)
    np.testing.assert_allclose(last[-1, -1, :2], [199, 239], atol=2)


def test_random_resized_crops_are_mirrored_by_the_last_draw():
    image, crop_flip = gradient(50, 60), PHOTOGRAPH_AUGMENTATIONS["crop-flip"].apply
    mirrored, straight = (crop_flip(image, tf.constant([0.5, 0.5, 0.5, 0.5, draw]), 16).numpy() for draw in (0.4, 0.6))
    np.testing.assert_array_equal(mirrored, straight[:, ::-1])
    assert (mirrored != straight).any()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 400), (400, 3)])
@pytest.mark.parametrize("name", PHOTOGRAPH_AUGMENTATIONS)
def test_photographs_of_any_shape_become_squares(name, height, width):
    augmentation = PHOTOGRAPH_AUGMENTATIONS[name]
    image = tf.fill([height, width, 3], tf.constant(200, tf.uint8))
    for draw in (0.0, 0.999):
        view = augmentation.apply(image, tf.fill([augmentation.draws], draw), 16)
        np.testing.assert_array_equal(view, np.full((16, 16, 3), 200))
