"""Views of photographs: where their windows lie, and what becomes of the pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_resnet.data import encoded_images
from keras_resnet.data.augmentation import any_size
from keras_resnet.data.augmentation.any_size import SCALES, VIEWS, random_area, random_scale
from keras_resnet.data.datasets import imagenet
from keras_resnet.data.encoded_images import EncodedImage
from pictures import difference, jpeg, smooth

SIZE = 32
SHAPES = [(1, 1), (7, 300), (300, 7), (64, 48), (500, 375)]
CORNERS = np.array(np.meshgrid(*[[0.0, 0.5, 1 - 2.0**-23]] * 4)).reshape(4, -1).T.astype("float32")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("window", "count"), [(random_scale, 3), (random_area, 4)])
def test_a_window_lies_in_the_photograph(shape, window, count):
    for draws in CORNERS:
        top, left, height, width = window(tf.constant(shape), tf.constant(draws[:count])).numpy()
        assert top >= 0 and left >= 0 and height >= 1 and width >= 1
        assert top + height <= shape[0] and left + width <= shape[1]


def test_a_scale_is_uniform_between_that_of_256_and_that_of_480():
    """The shorter side becomes 256 … 480 when the window becomes 224."""
    shape = (1000, 2000)
    sides = []
    for draw in np.linspace(0, 1, 101, dtype="float32"):
        _, _, height, width = random_scale(tf.constant(shape), tf.constant([draw, 0.5, 0.5])).numpy()
        assert height == width
        sides.append(224 * 1000 / height)
    np.testing.assert_allclose(sides, np.linspace(256, 480, 101), rtol=2e-3)


def test_windows_reach_every_corner():
    for draw, (top, left) in {0.0: (0, 0), 1 - 2.0**-23: (300 - 140, 400 - 140)}.items():
        window = random_scale(tf.constant([300, 400]), tf.constant([1.0, draw, draw])).numpy()
        assert window.tolist() == [top, left, 140, 140]


def test_an_area_is_uniform_and_its_shape_within_the_limits():
    draws = np.random.default_rng(0).uniform(size=(400, 4)).astype("float32")
    windows = np.array([random_area(tf.constant([400, 400]), tf.constant(each)) for each in draws])
    areas, ratios = windows[:, 2] * windows[:, 3] / 400**2, windows[:, 3] / windows[:, 2]
    free = draws[:, 0] < 0.6  # a larger one may not fit, and is cut
    np.testing.assert_allclose(areas[free], 0.08 + 0.92 * draws[free, 0], rtol=0.02)
    assert ratios.min() > 0.74 and ratios.max() < 1.35
    assert np.corrcoef(np.log(ratios[free]), draws[free, 1])[0, 1] > 0.99


def whole_center_crop(encoded, size: int) -> np.ndarray:
    """The view of evaluation without any economy: decode, resize and crop the whole."""
    image = encoded_images.decode(encoded)
    extent = tf.round(tf.cast(tf.shape(image)[:2], tf.float32) * (round(size * 8 / 7) / min(image.shape[:2])))
    resized = tf.image.resize(image, tf.cast(extent, tf.int32), antialias=True).numpy()
    top, left = ((np.array(resized.shape[:2]) - size) // 2).tolist()
    return np.rint(np.clip(resized[top : top + size, left : left + size], 0, 255))


@pytest.mark.parametrize("encode", [jpeg, tf.io.encode_png])
@pytest.mark.parametrize("shape", [*SHAPES, (37, 40), (33, 33)])
def test_the_view_of_evaluation_is_a_crop_of_the_whole_resized(encode, shape, noise):
    """Noise, so that a shift by a part of a pixel, or a neighbour that was not decoded, would show."""
    encoded = encode(noise.integers(0, 256, (*shape, 3), np.uint8))
    view = VIEWS["none"].apply(EncodedImage(encoded), tf.zeros([0]), SIZE).numpy().astype(float)
    assert view.shape == (SIZE, SIZE, 3)
    assert np.abs(view - whole_center_crop(encoded, SIZE)).max() <= 1  # a sum in another order is rounded otherwise


def test_the_view_of_evaluation_is_said_in_words():
    assert any_size.evaluation_view(224) == "center 224x224 of shorter side 256, bilinear with antialiasing"


def test_the_view_of_evaluation_of_real_photographs(shared_data):
    validation = imagenet.load(shared_data / "tfds", 224)[1]
    for index in range(0, validation.size, 10):
        encoded = validation.read(tf.constant(index, tf.int64))
        view = any_size.center_crop(EncodedImage(encoded), 224).numpy().astype(float)
        assert np.abs(view - whole_center_crop(encoded, 224)).max() <= 1


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_takes_as_many_draws_as_it_says_and_is_a_function_of_them(name):
    view = VIEWS[name]
    encoded = jpeg(smooth(90, 120))
    draws = tf.fill([view.draws], 0.2)
    seen = view.apply(EncodedImage(encoded), draws, SIZE)
    assert (seen.dtype, seen.shape) == ("uint8", (SIZE, SIZE, 3))
    np.testing.assert_array_equal(view.apply(EncodedImage(encoded), draws, SIZE), seen)
    for position in range(view.draws):
        moved = tf.tensor_scatter_nd_update(draws, [[position]], [(draws[position] + 0.5) % 1])
        assert (view.apply(EncodedImage(encoded), moved, SIZE).numpy() != seen.numpy()).any(), position


@pytest.mark.parametrize("name", [name for name, view in VIEWS.items() if view.mirrors])
def test_half_of_the_views_are_mirrored(name):
    view = VIEWS[name]
    encoded = jpeg(smooth(90, 120))
    draws = np.full(view.draws, 0.3, "float32")
    other = draws.copy()
    draws[view.places], other[view.places] = 0.4999, 0.5
    mirrored, plain = (view.apply(EncodedImage(encoded), tf.constant(each), SIZE).numpy() for each in (draws, other))
    np.testing.assert_array_equal(mirrored, plain[:, ::-1])


def test_colour_noise_has_the_covariance_of_the_colours():
    draws = np.random.default_rng(0).uniform(size=(4000, 3)).astype("float32")
    colours = tf.function(lambda draws: tf.map_fn(lambda each: any_size.colour_noise(tf.zeros([1, 1, 3]), each), draws))
    noise = colours(draws)[:, 0, 0].numpy() / 255
    axes = np.array(any_size.PRINCIPAL_COLOURS)
    expected = axes @ np.diag((0.1 * np.array(any_size.COLOUR_VARIANCES)) ** 2) @ axes.T
    np.testing.assert_allclose(np.cov(noise.T), expected, atol=0.05 * expected.max())
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-3)


def test_the_smallest_and_the_largest_draw_give_finite_colours():
    for draw in (0.0, 1 - 2.0**-23):
        assert np.isfinite(any_size.colour_noise(tf.zeros([1, 1, 3]), tf.fill([3], draw))).all()


def test_jitter_in_the_middle_changes_nothing_and_each_draw_its_own():
    image = tf.constant(smooth(8, 8), tf.float32)
    middle = any_size.colour_jitter(image, tf.fill([3], 0.5))
    np.testing.assert_allclose(middle, image, atol=1e-3)
    brighter = any_size.colour_jitter(image, tf.constant([0.75, 0.5, 0.5]))
    np.testing.assert_allclose(brighter, np.clip(image * 1.2, 0, 255), rtol=1e-5, atol=1e-3)
    flatter = any_size.colour_jitter(image, tf.constant([0.5, 0.0, 0.5])).numpy()
    assert flatter.std() == pytest.approx(0.6 * image.numpy().std(), rel=1e-3)
    greyer = any_size.colour_jitter(image, tf.constant([0.5, 0.5, 0.0])).numpy()
    assert np.ptp(greyer, axis=-1).mean() == pytest.approx(0.6 * np.ptp(image.numpy(), axis=-1).mean(), rel=1e-3)


def test_a_grey_photograph_has_three_colours():
    grey = jpeg(smooth(60, 60)[:, :, :1])
    seen = VIEWS["crop-flip"].apply(EncodedImage(grey), tf.fill([5], 0.5), SIZE).numpy()
    assert (seen == seen[:, :, :1]).all()


def test_the_limits_are_the_paper_s():
    assert tuple(round(224 * scale) for scale in SCALES) == (256, 480)


def odd(kind: str) -> bytes:
    """A photograph of four coloured quarters, in an encoding that few have."""
    quarters = np.array([[[200, 30, 60], [20, 180, 90]], [[60, 70, 210], [220, 200, 40]]], "uint8")
    image = Image.fromarray(np.kron(quarters, np.ones((24, 32, 1), "uint8")))
    file = io.BytesIO()
    match kind:
        case "CMYK":
            image.convert("CMYK").save(file, "JPEG", quality=95)
        case "progressive":
            image.save(file, "JPEG", quality=95, progressive=True)
        case "transparent":
            image.convert("RGBA").save(file, "PNG")
        case "palette":
            image.convert("P", palette=Image.Palette.ADAPTIVE).save(file, "PNG")
        case "animated":
            image.save(file, "PNG", save_all=True, append_images=[Image.new("RGB", image.size)])
        case "16-bit":
            return tf.io.encode_png(np.array(image).astype("uint16") * 257).numpy()
    return file.getvalue()


@pytest.mark.parametrize("name", ["none", "crop-flip", "scale-flip"])
@pytest.mark.parametrize("kind", ["CMYK", "progressive", "transparent", "palette", "animated", "16-bit"])
def test_an_odd_photograph_looks_as_a_plain_one(kind, name):
    """Of an animation, its first image. Preparing refuses some of these; a folder of pictures may hold all."""
    view, draws = VIEWS[name], tf.fill([VIEWS[name].draws], 0.6)
    plain = view.apply(EncodedImage(odd("transparent")), draws, SIZE)
    assert difference(view.apply(EncodedImage(odd(kind)), draws, SIZE), plain) < 6
    assert difference(tf.reverse(plain, [1]), plain) > 20
