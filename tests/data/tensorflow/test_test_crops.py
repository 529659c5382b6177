"""Ten crops, and whole images at several sizes."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_resnet.data.datasets import imagenet
from keras_resnet.data.tensorflow import crop_batches, test_crops
from keras_resnet.data.tensorflow.center_crop import center_crop
from keras_resnet.data.tensorflow.encoded_images import DecodedImage, EncodedImage
from keras_resnet.facts.ten_crops import POSITIONS
from pictures import jpeg
from stand_ins import EncodedInMemory
from tiers import slow

SIZE = 28
SIDE = 32  # SIZE * 256 / 224: an image with this shorter side is not resized


def png(image: np.ndarray) -> bytes:
    return tf.io.encode_png(image).numpy()


@pytest.fixture
def originals(noise) -> list[np.ndarray]:
    return [noise.integers(0, 256, (*shape, 3), np.uint8) for shape in [(40, 64), (64, 40), (33, 33), (90, 31), (7, 9)]]


@pytest.fixture
def split(originals) -> EncodedInMemory:
    return EncodedInMemory(tuple(map(png, originals)), np.arange(5) * 10, SIZE)


def test_the_crops_are_the_corners_the_center_and_their_mirror_images(noise):
    image = noise.integers(0, 256, (SIDE, 50, 3), np.uint8)
    found = test_crops.ten_crops(DecodedImage(tf.constant(image)), SIZE).numpy()
    assert (found.dtype, found.shape) == (np.uint8, (10, SIZE, SIZE, 3))
    places = {"top left": (0, 0), "top right": (0, 22), "bottom left": (4, 0), "bottom right": (4, 22)}
    places["center"] = (2, 11)
    for number, position in enumerate(POSITIONS):
        top, left = places[position]
        window = image[top : top + SIZE, left : left + SIZE]
        np.testing.assert_array_equal(found[number], window)
        np.testing.assert_array_equal(found[5 + number], window[:, ::-1])


@pytest.mark.parametrize("encode", [jpeg, tf.io.encode_png])
@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (300, 7), (64, 48), (500, 375), (37, 40), (33, 33)])
def test_the_center_of_the_ten_is_the_center_crop(encode, shape, noise):
    image = EncodedImage(encode(noise.integers(0, 256, (*shape, 3), np.uint8)))
    center = test_crops.ten_crops(image, SIZE)[POSITIONS.index("center")]
    difference = center.numpy().astype(int) - center_crop(image, SIZE).numpy().astype(int)
    assert np.abs(difference).max() <= 1  # a sum in another order is rounded otherwise


def test_the_center_of_the_ten_is_the_center_crop_on_real_images(shared_data):
    validation = imagenet.load(shared_data / "tfds", 224)[1]
    for index in range(0, validation.size, 20):
        image = EncodedImage(validation.read(index))
        center = test_crops.ten_crops(image, 224)[4].numpy().astype(int)
        assert np.abs(center - center_crop(image, 224).numpy().astype(int)).max() <= 1


@pytest.mark.parametrize("shape", [(SIDE, SIDE), (SIDE, 60), (70, SIDE)])
def test_the_crops_of_the_mirrored_image_are_the_same_set(shape, noise):
    image = noise.integers(0, 256, (*shape, 3), np.uint8)
    plain, mirrored = (
        test_crops.ten_crops(DecodedImage(tf.constant(each)), SIZE).numpy() for each in (image, image[:, ::-1])
    )
    assert sorted(crop.tobytes() for crop in plain) == sorted(crop.tobytes() for crop in mirrored)
    assert len({crop.tobytes() for crop in plain}) == 10


@pytest.mark.parametrize("batch_size", [2, 7, *slow([1, 5])])
def test_ten_crop_batches_hold_every_image_once_and_fill_up_with_black(split, originals, batch_size):
    batches = crop_batches.ten_crop_batches(split, batch_size)
    assert batches.element_spec[0].shape == (batch_size, 10, SIZE, SIZE, 3)
    images, labels = (np.concatenate(column) for column in zip(*batches.as_numpy_iterator(), strict=True))
    assert labels.tolist() == [*split.labels, *[-1] * (-5 % batch_size)]
    for found, image in zip(images, originals, strict=False):
        np.testing.assert_array_equal(found, test_crops.ten_crops(DecodedImage(tf.constant(image)), SIZE))
    assert not images[5:].any()


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["encoded", "decoded"])
def test_cached_images_are_those_that_are_read(split, cache):
    cached = EncodedInMemory(split.encoded, split.labels, SIZE, cache)
    for make in (
        lambda part: crop_batches.ten_crop_batches(part, 2),
        lambda part: crop_batches.multi_scale_batches(part, [30, 50]),
    ):
        for plain, first, again in zip(make(split), make(cached), make(cached), strict=True):
            for found in (first, again):
                tf.nest.map_structure(np.testing.assert_array_equal, found, plain)


def test_images_come_whole_at_every_size(split, originals):
    elements = list(crop_batches.multi_scale_batches(split, [30, 64], mirror=True))
    assert [label.numpy().tolist() for _, label in elements] == [[label] for label in split.labels]
    for (scales, _), image in zip(elements, originals, strict=True):
        for found, side in zip(scales, (30, 64), strict=True):
            height, width = (round(extent * side / min(image.shape[:2])) for extent in image.shape[:2])
            assert found.shape == (1, 2, height, width, 3)
            np.testing.assert_array_equal(found[0, 1], found[0, 0].numpy()[:, ::-1])
    plain = next(iter(crop_batches.multi_scale_batches(split, [30, 64])))
    tf.nest.map_structure(lambda one, both: np.testing.assert_array_equal(one, both[:, :1]), plain[0], elements[0][0])


@pytest.mark.parametrize("shape", [(60, 90), (300, 200)])
def test_an_image_is_resized_as_pil_does(shape, noise):
    """Noise, of which nothing would remain the same without antialiasing."""
    image = noise.integers(0, 256, (*shape, 3), np.uint8)
    found = test_crops.resized(tf.constant(image), 80).numpy()
    height, width = found.shape[:2]
    expected = np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    assert min(height, width) == 80
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1
