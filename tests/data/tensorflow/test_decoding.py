"""Decoded images are Pillow's, to the bit: whole and in windows, in every format, turned as their files say."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from keras_resnet.data.datasets import imagenet
from keras_resnet.data.picture_files import exif
from keras_resnet.data.tensorflow.batches import DAMAGE
from keras_resnet.data.tensorflow.encoded_images import EncodedImage, decode
from pictures import smooth

TAG = 0x0112


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def by_pillow(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def random_image(noise, height: int, width: int, channels: int = 3) -> Image.Image:
    return Image.fromarray(noise.integers(0, 256, (height, width, channels), np.uint8))


@pytest.fixture(scope="module")
def part():
    """`EncodedImage.part`, traced once."""

    @tf.function(input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([4], tf.int32)], autograph=False)
    def part(content, window):
        return EncodedImage(content).part(window)

    return part


@pytest.fixture(scope="module")
def turned_part():
    """The same of an image that is to be turned."""

    @tf.function(
        input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int32), tf.TensorSpec([4], tf.int32)],
        autograph=False,
    )
    def part(content, orientation, window):
        image = EncodedImage(content, orientation)
        return image.part(window), image.whole(), image.shape

    return part


def windows(noise, height: int, width: int) -> list[tuple[int, int, int, int]]:
    """The whole; one at random; one that touches the right edge; one that touches the lower edge."""
    top, left = int(noise.integers(height)), int(noise.integers(width))
    rows, columns = (int(noise.integers(1, most + 1)) for most in (height - top, width - left))
    return [
        (0, 0, height, width),
        (top, left, rows, columns),
        (top, left, rows, width - left),
        (top, left, height - top, columns),
    ]


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpegs_of_any_size_are_pillow_s_whole_and_in_windows(part, noise, subsampling, progressive):
    """Odd widths among them, whose last column shares its color with nothing."""
    for _ in range(25):
        height, width = map(int, noise.integers(1, 100, 2))
        content = encoded(
            random_image(noise, height, width),
            "JPEG",
            quality=int(noise.integers(5, 101)),
            subsampling=subsampling,
            progressive=progressive,
        )
        expected = by_pillow(content)
        np.testing.assert_array_equal(decode(content), expected)
        for top, left, rows, columns in windows(noise, height, width):
            window = tf.constant([top, left, rows, columns])
            np.testing.assert_array_equal(part(content, window), expected[top : top + rows, left : left + columns])


def test_real_jpegs_are_pillow_s_whole_and_in_windows(part, shared_data, noise):
    train = imagenet.load(shared_data / "tfds", 224)[0]
    widths = set()
    for index in range(0, train.size, 5):
        content = train.read(index)
        expected = by_pillow(content)
        np.testing.assert_array_equal(decode(content), expected)
        widths.add(expected.shape[1] % 2)
        for top, left, rows, columns in windows(noise, *expected.shape[:2]):
            window = tf.constant([top, left, rows, columns])
            np.testing.assert_array_equal(part(content, window), expected[top : top + rows, left : left + columns])
    assert widths == {0, 1}


def palette(noise) -> Image.Image:
    """Whose colors are in no order, so that their numbers are not their grays."""
    image = Image.fromarray(noise.integers(0, 256, (31, 45), np.uint8)).convert("P")
    image.putpalette(noise.integers(0, 256, 768, np.uint8).tobytes())
    return image


KINDS = {
    "gray JPEG": lambda noise: encoded(random_image(noise, 31, 45).convert("L"), "JPEG"),
    "PNG": lambda noise: encoded(random_image(noise, 31, 45), "PNG"),
    "transparent PNG": lambda noise: encoded(random_image(noise, 31, 45, 4), "PNG"),
    "PNG of a palette": lambda noise: encoded(palette(noise), "PNG", transparency=3),
    "WebP": lambda noise: encoded(Image.fromarray(smooth(31, 45)), "WEBP"),
    "lossless WebP": lambda noise: encoded(random_image(noise, 31, 45), "WEBP", lossless=True),
    "transparent WebP": lambda noise: encoded(random_image(noise, 31, 45, 4), "WEBP", lossless=True),
    "moving WebP": lambda noise: encoded(
        random_image(noise, 31, 45), "WEBP", save_all=True, append_images=[random_image(noise, 31, 45)], lossless=True
    ),
    "BMP": lambda noise: encoded(random_image(noise, 31, 45), "BMP"),
    "BMP of 32 bits": lambda noise: encoded(random_image(noise, 31, 45, 4), "BMP"),
    "gray BMP": lambda noise: encoded(random_image(noise, 31, 45).convert("L"), "BMP"),
    "BMP of a palette": lambda noise: encoded(palette(noise), "BMP"),
    "BMP of two colors": lambda noise: encoded(random_image(noise, 31, 45).convert("1"), "BMP"),
    "GIF": lambda noise: encoded(palette(noise), "GIF"),
    "transparent GIF": lambda noise: encoded(palette(noise), "GIF", transparency=3),
    "moving GIF": lambda noise: encoded(palette(noise), "GIF", save_all=True, append_images=[palette(noise)]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_is_pillow_s_whole_and_in_windows(kind, part, noise):
    """Of several images in a file the first; transparent pixels have the color that is stored below."""
    content = KINDS[kind](noise)
    expected = by_pillow(content)
    np.testing.assert_array_equal(decode(content), expected)
    np.testing.assert_array_equal(part(content, tf.constant([3, 5, 20, 40])), expected[3:23, 5:45])
    np.testing.assert_array_equal(EncodedImage(content).shape, expected.shape[:2])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", exif.ORIENTATIONS)
def test_an_image_is_turned_as_its_file_says(kind, orientation, turned_part, noise):
    note = Image.Exif()
    note[0x010F], note[TAG] = "a camera", orientation
    content = encoded(random_image(noise, 30, 41), kind, exif=note)
    assert exif.orientation(content) == orientation
    expected = by_pillow(content)
    assert expected.shape[:2] == ((30, 41) if orientation < 5 else (41, 30))
    found, whole, shape = turned_part(content, tf.constant(orientation), tf.constant([4, 1, 13, 22]))
    np.testing.assert_array_equal(shape, expected.shape[:2])
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_array_equal(found, expected[4:17, 1:23])


def test_a_reduced_window_is_turned_as_well(noise):
    image = Image.fromarray(smooth(200, 260))
    content = encoded(image, "JPEG", quality=98)
    for orientation in exif.ORIENTATIONS:
        turned = EncodedImage(content, tf.constant(orientation))
        height, width = turned.shape.numpy()
        window = tf.constant([height - 160, width - 160, 160, 160])
        reduced, whole = turned.reduced_part(window, 40), turned.part(window)
        expected = tf.image.resize(whole, reduced.shape[:2], method="area")
        assert np.abs(np.asarray(reduced, "float32") - expected).mean() < 2, orientation


def note(order: str, kind: int, value: bytes, tag: int = TAG) -> bytes:
    """A block of EXIF with one entry."""
    mark, end = (b"II*\x00", "little") if order == "<" else (b"MM\x00*", "big")
    numbers = [(8, 4), (1, 2), (tag, 2), (kind, 2), (1, 4)]
    return mark + b"".join(number.to_bytes(size, end) for number, size in numbers) + value + bytes(4)


def jpeg_with(block: bytes) -> bytes:
    segment = b"Exif\x00\x00" + block
    return b"\xff\xd8\xff\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + b"\xff\xda"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (jpeg_with(note("<", 3, b"\x06\x00\x00\x00")), 6),
        (jpeg_with(note(">", 3, b"\x00\x06\x00\x00")), 6),
        (jpeg_with(note(">", 4, b"\x00\x00\x00\x06")), 6),
        (jpeg_with(note("<", 1, b"\x06\x00\x00\x00")), 6),
        (jpeg_with(note("<", 3, b"\x00\x00\x00\x00")), 1),
        (jpeg_with(note("<", 3, b"\x09\x00\x00\x00")), 1),
        (jpeg_with(note("<", 5, b"\x06\x00\x00\x00")), 1),
        (jpeg_with(note("<", 3, b"\x06\x00\x00\x00", tag=0x0110)), 1),
        (jpeg_with(note("<", 3, b"\x06\x00\x00\x00")[:12]), 1),
        (jpeg_with(b"what no camera writes"), 1),
        (b"\xff\xd8\xff", 1),
        (b"\xff\xd8\xff\xe1\x00", 1),
        (b"\x89PNG\r\n\x1a\n\x00", 1),
        (b"RIFF", 1),
        (b"BM", 1),
        (b"", 1),
    ],
)
def test_a_note_without_sense_turns_nothing(content, expected):
    assert exif.orientation(content) == expected


@pytest.mark.parametrize("content", [b"", b"hello", b"RIFF", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF89a"])
@pytest.mark.parametrize("traced", [False, True])
def test_what_is_no_image_is_the_error_of_damage(content, traced):
    with pytest.raises(DAMAGE):
        (tf.function(decode) if traced else decode)(tf.constant(content))
