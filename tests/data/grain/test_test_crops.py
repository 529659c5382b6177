"""Ten crops, and whole images at several sizes, are those of tf.data."""

from __future__ import annotations

import numpy as np
import pytest

from differences import assert_same_images
from encoded_pictures import encoded, noise_image
from keras_resnet.data.datasets import imagenet
from keras_resnet.data.grain import test_crops
from keras_resnet.data.grain.encoded_images import DecodedImage, EncodedImage
from keras_resnet.data.tensorflow import encoded_images
from keras_resnet.data.tensorflow import test_crops as of_tensorflow

SIZE = 28
SHAPES = [(1, 1), (7, 300), (300, 7), (64, 48), (500, 375), (37, 40), (32, 50)]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_ten_crops_are_those_of_tensorflow(shape, noise):
    content = encoded(noise_image(noise, *shape), "JPEG")
    image = EncodedImage(content)
    crops = test_crops.ten_crops(image, SIZE)
    assert_same_images(crops, of_tensorflow.ten_crops(encoded_images.EncodedImage(content), SIZE))
    np.testing.assert_array_equal(test_crops.ten_crops(DecodedImage(image.whole()), SIZE), crops)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", [20, 80])
def test_a_whole_image_has_the_size_and_the_pixels_that_tensorflow_gives_it(shape, side, noise):
    image = noise.integers(0, 256, (*shape, 3), np.uint8)
    assert_same_images(test_crops.resized(image, side), of_tensorflow.resized(image, side))


def test_mirror_images_follow(noise):
    images = noise.integers(0, 256, (2, 5, 6, 3), np.uint8)
    np.testing.assert_array_equal(test_crops.with_mirror_images(images), of_tensorflow.with_mirror_images(images))


def test_the_ten_crops_of_real_images_are_those_of_tensorflow(shared_data):
    validation = imagenet.load(shared_data / "tfds", 224)[1]
    for index in range(0, validation.size, 20):
        content = validation.read(index)
        expected = of_tensorflow.ten_crops(encoded_images.EncodedImage(content), 224)
        assert_same_images(test_crops.ten_crops(EncodedImage(content), 224), expected)
