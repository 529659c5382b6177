"""Augmentation of encoded images: from a window to a square."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from keras_resnet.data.tensorflow.augmentation.encoded import COLORS, CROPS, augment, flip
from keras_resnet.data.tensorflow.center_crop import center_crop
from keras_resnet.data.tensorflow.encoded_images import EncodedImage
from keras_resnet.facts import augmentation as facts
from pictures import difference, jpeg, smooth
from tiers import slow

SIZE = 32
AUGMENTATIONS = [
    ("flip", "color-jitter"),
    *((crop, "flip", *COLORS) for crop in CROPS),
]


def test_there_is_a_function_for_every_operation():
    assert [*CROPS, "flip", *COLORS] == list(facts.suiting("encoded"))
    assert list(CROPS) == [name for name in facts.suiting("encoded") if facts.OPERATIONS[name].crops]


@pytest.mark.parametrize(
    "names", [*AUGMENTATIONS, *slow(((crop, "flip", "color-noise"),) for crop in CROPS)], ids=" ".join
)
def test_an_augmentation_is_a_function_of_its_random_numbers_and_of_each(names):
    encoded = tf.constant(jpeg(smooth(90, 120)))
    draws = np.full(facts.draws(names), 0.2, "float32")
    moved = [draws, *(np.where(np.arange(len(draws)) == number, 0.7, draws) for number in range(len(draws)))]

    @tf.function
    def squares(each):
        return tf.map_fn(
            lambda one: augment(EncodedImage(encoded), one, names, SIZE), each, fn_output_signature="uint8"
        )

    first, *others = squares(tf.constant(np.stack(moved), "float32")).numpy()
    assert first.shape == (SIZE, SIZE, 3)
    np.testing.assert_array_equal(augment(EncodedImage(encoded), tf.constant(draws), names, SIZE), first)
    for position, other in enumerate(others):
        assert (other != first).any(), position


def test_without_operations_it_is_the_center_crop():
    image = EncodedImage(jpeg(smooth(90, 120)))
    np.testing.assert_array_equal(augment(image, tf.zeros([0]), (), SIZE), center_crop(image, SIZE))


def test_half_of_the_images_are_mirrored():
    image = EncodedImage(jpeg(smooth(90, 120)))
    for others in [(), ("random-scale-crop",), ("random-scale-crop", "color-noise")]:
        names = tuple(name for name in facts.OPERATIONS if name in (*others, "flip"))
        column = dict(facts.with_columns(names))["flip"].start
        draws = np.full(facts.draws(names), 0.3, "float32")
        draws[column] = 0.4999
        mirrored = augment(image, tf.constant(draws), names, SIZE).numpy()
        draws[column] = 0.5
        np.testing.assert_array_equal(mirrored, augment(image, tf.constant(draws), names, SIZE)[:, ::-1])


@pytest.mark.parametrize("name", COLORS)
def test_mirroring_before_the_colors_change_is_mirroring_after(name, noise):
    """So that `augment` may do it last. A mean over the image is a sum in another order."""
    image = tf.constant(noise.uniform(0, 255, (9, 8, 3)), tf.float32)
    draws = tf.constant(noise.random(3, np.float32))
    before, after = (
        COLORS[name](flip(image, tf.constant(0.0)), draws),
        flip(COLORS[name](image, draws), tf.constant(0.0)),
    )
    np.testing.assert_allclose(before, after, rtol=1e-5, atol=1e-4)


def test_the_operations_are_those_of_numpy(noise):
    """A window of a PNG that is smaller than the square, so that nothing but `resized` interpolates."""
    pixels = noise.integers(0, 256, (40, 40, 3), np.uint8)
    names, draws = ("random-scale-crop", "flip", "color-noise"), noise.random(7, np.float32)
    top, left, height, width = CROPS["random-scale-crop"](tf.constant([40, 40]), tf.constant(draws[:3])).numpy()
    square = tf.image.resize(pixels[top : top + height, left : left + width], [SIZE, SIZE], method="bilinear")
    colored = COLORS["color-noise"](square, tf.constant(draws[4:])).numpy()
    expected = np.floor(colored + np.float32(0.5)).astype(np.uint8)
    found = augment(EncodedImage(tf.io.encode_png(pixels)), tf.constant(draws), names, SIZE)
    np.testing.assert_array_equal(found, expected[:, ::-1] if draws[3] < 0.5 else expected)


def test_a_gray_image_has_three_channels():
    gray = jpeg(smooth(60, 60)[:, :, :1])
    square = augment(EncodedImage(gray), tf.fill([5], 0.5), ("random-resized-crop", "flip"), SIZE).numpy()
    assert (square == square[:, :, :1]).all()


def odd(kind: str) -> bytes:
    """An image of four colored quarters, in an encoding that few have."""
    quarters = np.array([[[200, 30, 60], [20, 180, 90]], [[60, 70, 210], [220, 200, 40]]], "uint8")
    image = PIL.Image.fromarray(np.kron(quarters, np.ones((24, 32, 1), "uint8")))
    file = io.BytesIO()
    match kind:
        case "CMYK":
            image.convert("CMYK").save(file, "JPEG", quality=95)
        case "progressive":
            image.save(file, "JPEG", quality=95, progressive=True)
        case "transparent":
            image.convert("RGBA").save(file, "PNG")
        case "palette":
            image.convert("P", palette=PIL.Image.Palette.ADAPTIVE).save(file, "PNG")
        case "animated":
            image.save(file, "PNG", save_all=True, append_images=[PIL.Image.new("RGB", image.size)])
        case "16-bit":
            return tf.io.encode_png(np.array(image).astype("uint16") * 257).numpy()
    return file.getvalue()


@pytest.mark.parametrize("names", [(), ("random-resized-crop", "flip"), ("random-scale-crop", "flip")], ids=" ".join)
def test_odd_images_look_as_a_plain_one(names):
    """Of an animation, its first image. Preparing refuses some of these; a folder of pictures may hold all."""
    draws = tf.fill([facts.draws(names)], 0.6)
    plain = augment(EncodedImage(odd("transparent")), draws, names, SIZE)
    assert difference(tf.reverse(plain, [1]), plain) > 20
    for kind in ("CMYK", "progressive", "palette", "animated", "16-bit"):
        assert difference(augment(EncodedImage(odd(kind)), draws, names, SIZE), plain) < 6, kind
