"""The center crop is that of tf.data."""

from __future__ import annotations

import numpy as np
import pytest

from differences import assert_same_images
from encoded_pictures import encoded, noise_image
from keras_resnet.data.datasets import imagenet
from keras_resnet.data.grain.center_crop import center_crop
from keras_resnet.data.grain.encoded_images import DecodedImage, EncodedImage
from keras_resnet.data.tensorflow import center_crop as of_tensorflow
from keras_resnet.data.tensorflow import encoded_images

SIZE = 32


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (300, 7), (64, 48), (500, 375), (37, 40), (33, 33)])
def test_the_center_crop_is_that_of_tensorflow(kind, shape, noise):
    content = encoded(noise_image(noise, *shape), kind)
    image = EncodedImage(content)
    crop = center_crop(image, SIZE)
    assert_same_images(crop, of_tensorflow.center_crop(encoded_images.EncodedImage(content), SIZE))
    np.testing.assert_array_equal(center_crop(DecodedImage(image.whole()), SIZE), crop)


def test_the_center_crop_of_real_images_is_that_of_tensorflow(shared_data):
    validation = imagenet.load(shared_data / "tfds", 224)[1]
    for index in range(0, validation.size, 10):
        content = validation.read(index)
        expected = of_tensorflow.center_crop(encoded_images.EncodedImage(content), 224)
        assert_same_images(center_crop(EncodedImage(content), 224), expected)
