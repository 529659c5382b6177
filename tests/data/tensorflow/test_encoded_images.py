"""Windows of encoded images: their pixels are those of the whole, decoded."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.datasets import imagenet
from keras_resnet.data.tensorflow.augmentation.crops import random_resized_crop, resized
from keras_resnet.data.tensorflow.augmentation.encoded import augment
from keras_resnet.data.tensorflow.encoded_images import RATIOS, DecodedImage, EncodedImage, decode, has_full_resolution
from keras_resnet.facts import augmentation as facts
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


def test_windows_of_real_images_have_the_pixels_of_the_whole(shared_data, noise):
    train = imagenet.load(shared_data / "tfds", 224)[0]
    for index in range(0, train.size, 10):
        encoded = train.read(index)
        window = random_resized_crop(EncodedImage(encoded).shape, tf.constant(noise.random(4, np.float32)))
        np.testing.assert_array_equal(EncodedImage(encoded).part(window), part_of(decode(encoded), window))


@pytest.mark.parametrize("ratio", RATIOS)
def test_a_window_much_larger_than_the_square_is_decoded_at_a_reduced_resolution_and_looks_the_same(ratio):
    image = EncodedImage(jpeg(smooth(500, 600)))
    window = tf.constant([11, 23, ratio * SIZE + 7, ratio * SIZE + 21])
    part, fine_part = image.reduced_part(window, SIZE), image.part(window)
    np.testing.assert_allclose(part.shape[:2], np.array(fine_part.shape[:2]) / ratio, atol=2)
    coarse, fine = resized(part, SIZE), resized(fine_part, SIZE)
    assert difference(coarse, fine) < 4  # the window is rounded to whole pixels of the reduced image
    assert difference(coarse, tf.reverse(fine, [1])) > 10


def test_a_png_is_always_decoded_at_its_full_resolution():
    image = EncodedImage(tf.io.encode_png(smooth(100, 100)))
    np.testing.assert_array_equal(image.reduced_part(tf.constant([0, 0, 90, 90]), 20), smooth(100, 100)[:90, :90])


@pytest.mark.parametrize(
    "names", [(), ("random-resized-crop", "flip"), ("random-scale-crop", "color-noise")], ids=" ".join
)
@pytest.mark.parametrize("side", [20, 63])
def test_pixels_stand_for_their_file_unless_its_resolution_is_reduced(names, side, noise):
    encoded = jpeg(noise.integers(0, 256, (side, 100, 3), np.uint8))
    assert has_full_resolution(EncodedImage(encoded).shape, SIZE)
    for draws in noise.random((8, facts.draws(names)), np.float32):
        of_file, of_pixels = (
            augment(image, tf.constant(draws), names, SIZE)
            for image in (EncodedImage(encoded), DecodedImage(decode(encoded)))
        )
        np.testing.assert_array_equal(of_pixels, of_file)


def test_an_image_of_twice_the_square_may_be_decoded_at_a_reduced_resolution():
    assert not has_full_resolution(tf.constant([64, 64]), SIZE)
