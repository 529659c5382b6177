"""Photographs in part: what is decoded of them is what would have been seen of the whole."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.augmentation.any_size import VIEWS, random_area, squared
from keras_resnet.data.datasets import imagenet
from keras_resnet.data.encoded_images import RATIOS, DecodedImage, EncodedImage, decode, is_seen_finely
from pictures import difference, jpeg, smooth

SIZE = 32


def part_of(whole: tf.Tensor, window) -> np.ndarray:
    top, left, height, width = np.array(window)
    return whole.numpy()[top : top + height, left : left + width]


@pytest.mark.parametrize("encode", [jpeg, tf.io.encode_png], ids=["jpeg", "png"])
@pytest.mark.parametrize("window", [(0, 0, 60, 60), (3, 17, 40, 33), (20, 10, 20, 25), (79, 89, 1, 1), (0, 0, 80, 90)])
def test_a_part_has_the_pixels_of_the_whole_to_the_bit(encode, window, noise):
    encoded = encode(noise.integers(0, 256, (80, 90, 3), np.uint8))
    np.testing.assert_array_equal(EncodedImage(encoded).part(tf.constant(window)), part_of(decode(encoded), window))
    np.testing.assert_array_equal(EncodedImage(encoded).shape, [80, 90])


def test_windows_of_real_photographs_have_the_pixels_of_the_whole(shared_data, noise):
    train = imagenet.load(shared_data / "tfds", 224)[0]
    for index in range(0, train.size, 10):
        encoded = train.read(tf.constant(index, tf.int64))
        window = random_area(EncodedImage(encoded).shape, tf.constant(noise.random(4, np.float32)))
        np.testing.assert_array_equal(EncodedImage(encoded).part(window), part_of(decode(encoded), window))


@pytest.mark.parametrize("ratio", RATIOS)
def test_a_window_much_larger_than_the_view_is_decoded_coarsely_and_looks_the_same(ratio):
    photograph = EncodedImage(jpeg(smooth(500, 600)))
    window = tf.constant([11, 23, ratio * SIZE + 7, ratio * SIZE + 21])
    part, fine_part = photograph.coarse_part(window, SIZE), photograph.part(window)
    np.testing.assert_allclose(part.shape[:2], np.array(fine_part.shape[:2]) / ratio, atol=2)
    coarse, fine = squared(part, SIZE), squared(fine_part, SIZE)
    assert difference(coarse, fine) < 4  # the window is rounded to whole pixels of the smaller photograph
    assert difference(coarse, tf.reverse(fine, [1])) > 10


def test_a_png_is_never_decoded_coarsely():
    photograph = EncodedImage(tf.io.encode_png(smooth(100, 100)))
    np.testing.assert_array_equal(photograph.coarse_part(tf.constant([0, 0, 90, 90]), 20), smooth(100, 100)[:90, :90])


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("side", [20, 63])
def test_pixels_are_seen_as_their_file_unless_parts_of_it_are_decoded_coarsely(name, side, noise):
    encoded = jpeg(noise.integers(0, 256, (side, 100, 3), np.uint8))
    assert is_seen_finely(EncodedImage(encoded).shape, SIZE)
    for draws in noise.random((8, VIEWS[name].draws), np.float32):
        of_file, of_pixels = (
            VIEWS[name].apply(photograph, tf.constant(draws), SIZE)
            for photograph in (EncodedImage(encoded), DecodedImage(decode(encoded)))
        )
        np.testing.assert_array_equal(of_pixels, of_file)


def test_a_photograph_of_twice_the_view_may_be_decoded_coarsely():
    assert not is_seen_finely(tf.constant([64, 64]), SIZE)
