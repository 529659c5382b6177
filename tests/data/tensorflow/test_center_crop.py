"""The center crop: that of the whole image resized, though less of it is decoded."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.datasets import imagenet
from keras_resnet.data.tensorflow import center_crop, encoded_images
from keras_resnet.data.tensorflow.encoded_images import EncodedImage
from pictures import jpeg

SIZE = 32


def whole_center_crop(encoded, size: int) -> np.ndarray:
    """The center crop without any economy: decode, resize and crop the whole."""
    image = encoded_images.decode(encoded)
    extent = tf.round(tf.cast(tf.shape(image)[:2], tf.float32) * (round(size * 8 / 7) / min(image.shape[:2])))
    resized = tf.image.resize(image, tf.cast(extent, tf.int32), antialias=True).numpy()
    top, left = ((np.array(resized.shape[:2]) - size) // 2).tolist()
    return np.rint(np.clip(resized[top : top + size, left : left + size], 0, 255))


@pytest.mark.parametrize("encode", [jpeg, tf.io.encode_png])
@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (300, 7), (64, 48), (500, 375), (37, 40), (33, 33)])
def test_the_center_crop_is_that_of_the_whole_resized(encode, shape, noise):
    """Noise, so that a shift by a part of a pixel, or a neighbour that was not decoded, would show."""
    encoded = encode(noise.integers(0, 256, (*shape, 3), np.uint8))
    crop = center_crop.center_crop(EncodedImage(encoded), SIZE).numpy().astype(float)
    assert crop.shape == (SIZE, SIZE, 3)
    assert np.abs(crop - whole_center_crop(encoded, SIZE)).max() <= 1  # a sum in another order is rounded otherwise


def test_the_center_crop_of_real_images(shared_data):
    validation = imagenet.load(shared_data / "tfds", 224)[1]
    for index in range(0, validation.size, 10):
        encoded = validation.read(index)
        crop = center_crop.center_crop(EncodedImage(encoded), 224).numpy().astype(float)
        assert np.abs(crop - whole_center_crop(encoded, 224)).max() <= 1
