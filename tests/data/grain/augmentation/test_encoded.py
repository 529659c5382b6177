"""Augmented images are those of tf.data: the same windows, draws and pixels."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from differences import assert_same_images
from encoded_pictures import encoded, noise_image
from keras_resnet.data.datasets import imagenet
from keras_resnet.data.grain.augmentation.encoded import COLORS, CROPS, augment, flip
from keras_resnet.data.grain.encoded_images import DecodedImage, EncodedImage
from keras_resnet.data.tensorflow import encoded_images
from keras_resnet.data.tensorflow.augmentation import encoded as of_tensorflow
from keras_resnet.facts import augmentation as facts

SIZE = 32
WITHOUT_COLORS = [(), ("flip",), *((crop, "flip") for crop in CROPS)]
WITH_COLORS = [("flip", "color-jitter"), *((crop, "flip", *COLORS) for crop in CROPS)]


def expected_square(names, size: int):
    """`augment` of tf.data, of a file and draws."""
    signature = [tf.TensorSpec([], tf.string), tf.TensorSpec([facts.draws(names)], tf.float32)]
    return tf.function(
        lambda content, draws: of_tensorflow.augment(encoded_images.EncodedImage(content), draws, names, size),
        input_signature=signature,
        autograph=False,
    )


def assert_almost_the_same_images(found, expected) -> None:
    """Colors are rounded to bytes otherwise where they lie within a ten thousandth of the middle between two."""
    differences = np.abs(found.astype(int) - np.asarray(expected))
    assert found.dtype == np.uint8 and differences.max() <= 1
    assert np.count_nonzero(differences) <= 1 + 1e-4 * differences.size


def test_there_is_a_function_for_every_operation():
    assert [*CROPS, "flip", *COLORS] == list(facts.suiting("encoded"))
    assert (list(CROPS), list(COLORS)) == (list(of_tensorflow.CROPS), list(of_tensorflow.COLORS))


@pytest.mark.parametrize("names", [*WITHOUT_COLORS, *WITH_COLORS], ids=" ".join)
def test_squares_are_those_of_tensorflow(names, noise):
    """Of small images, and of large ones, which are decoded at a reduced resolution."""
    square, same = expected_square(names, SIZE), names in WITHOUT_COLORS
    for shape in [(7, 30), (33, 32), (60, 50), (90, 300), (300, 190)] * 3:
        content, draws = encoded(noise_image(noise, *shape), "JPEG"), noise.random(facts.draws(names), np.float32)
        found, expected = augment(EncodedImage(content), draws, names, SIZE), square(content, draws)
        (assert_same_images if same else assert_almost_the_same_images)(found, expected)


@pytest.mark.parametrize("names", [WITHOUT_COLORS[-1], WITH_COLORS[-1]], ids=" ".join)
def test_squares_of_real_images_are_those_of_tensorflow(names, shared_data, noise):
    train, square = imagenet.load(shared_data / "tfds", 224)[0], expected_square(names, 224)
    for index in range(0, train.size, 10):
        content, draws = train.read(index), noise.random(facts.draws(names), np.float32)
        found, expected = augment(EncodedImage(content), draws, names, 224), square(content, draws)
        (assert_same_images if names in WITHOUT_COLORS else assert_almost_the_same_images)(found, expected)


@pytest.mark.parametrize("names", [WITHOUT_COLORS[0], WITH_COLORS[-1]], ids=" ".join)
def test_pixels_stand_for_their_file_and_stay_as_they_are(names, noise):
    content, draws = encoded(noise_image(noise, 60, 63), "PNG"), noise.random(facts.draws(names), np.float32)
    pixels = EncodedImage(content).whole()
    original = pixels.copy()
    found = augment(DecodedImage(pixels), draws, names, SIZE)
    np.testing.assert_array_equal(found, augment(EncodedImage(content), draws, names, SIZE))
    np.testing.assert_array_equal(pixels, original)


def test_half_of_the_images_are_mirrored(noise):
    pixels = noise.integers(0, 256, (4, 5, 3), np.uint8)
    np.testing.assert_array_equal(flip(pixels, np.float32(0.4999)), pixels[:, ::-1])
    np.testing.assert_array_equal(flip(pixels, np.float32(0.5)), pixels)
