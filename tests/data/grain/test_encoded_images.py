"""Decoded images are those of tf.data, to the bit: in every format, whole, in windows, reduced and turned."""

from __future__ import annotations

import numpy as np
import pytest
import simplejpeg
import tensorflow as tf

from encoded_pictures import PNG_DEPTHS, encoded, noise_image, png, print_jpeg
from keras_resnet.data.datasets import imagenet
from keras_resnet.data.grain.augmentation.crops import random_resized_crop
from keras_resnet.data.grain.encoded_images import DecodedImage, EncodedImage, decode, has_full_resolution
from keras_resnet.data.picture_files import exif
from keras_resnet.data.tensorflow import encoded_images as of_tensorflow


@pytest.fixture(scope="module")
def tensorflow_parts():
    """The shape, the whole, a window and the window at a reduced resolution of `EncodedImage` in tf.data."""

    @tf.function(
        input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int32), tf.TensorSpec([4], tf.int32)],
        autograph=False,
    )
    def parts(content, orientation, window):
        image = of_tensorflow.EncodedImage(content, orientation)
        return image.shape, image.whole(), image.part(window), image.reduced_part(window, 30)

    return lambda *arguments: [found.numpy() for found in parts(*arguments)]


def parts(content: bytes, orientation: int, window) -> list:
    image = EncodedImage(content, orientation)
    return [image.shape, image.whole(), image.part(window), image.reduced_part(window, 30)]


def subsampled(noise, height: int, width: int, subsampling: str) -> bytes:
    """A JPEG of noise, whose colors have half the resolution or less in one direction or both."""
    channels = 1 if subsampling == "Gray" else 3
    pixels = noise.integers(0, 256, (height, width, channels), np.uint8)
    return simplejpeg.encode_jpeg(pixels, 90, "GRAY" if channels == 1 else "RGB", subsampling)


KINDS = {
    "JPEG": lambda noise: encoded(noise_image(noise, 31, 45), "JPEG"),
    "progressive JPEG": lambda noise: encoded(noise_image(noise, 31, 45), "JPEG", progressive=True),
    "RGB JPEG": lambda noise: encoded(noise_image(noise, 31, 45), "JPEG", keep_rgb=True),
    "print JPEG by Adobe": lambda noise: print_jpeg(noise, 0),
    "print JPEG of brightness and colors": lambda noise: print_jpeg(noise, 2),
    "plain print JPEG": lambda noise: print_jpeg(noise, None),
    **{
        f"PNG of color type {color_type} and {depth} bits": lambda noise, options=(color_type, depth): png(
            noise, *options
        )
        for color_type, depths in PNG_DEPTHS.items()
        for depth in depths
    },
    "gray PNG with a transparent gray": lambda noise: png(noise, 0, 8, transparent=True),
    "PNG with a transparent color": lambda noise: png(noise, 2, 16, transparent=True),
    "PNG of a palette with transparency": lambda noise: png(noise, 3, 4, transparent=True),
    "WebP": lambda noise: encoded(noise_image(noise, 31, 45), "WEBP"),
    "moving PNG": lambda noise: encoded(
        noise_image(noise, 31, 45), "PNG", save_all=True, append_images=[noise_image(noise, 31, 45)]
    ),
    "BMP": lambda noise: encoded(noise_image(noise, 31, 45), "BMP"),
    "GIF": lambda noise: encoded(noise_image(noise, 31, 45, "L"), "GIF"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_has_the_pixels_of_tensorflow(kind, noise):
    content = KINDS[kind](noise)
    found = decode(content)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, of_tensorflow.decode(content))


@pytest.mark.parametrize("subsampling", ["444", "420", "440", "411", "Gray", "422"])
def test_windows_of_a_jpeg_have_the_pixels_of_tensorflow(subsampling, tensorflow_parts, noise):
    """Sizes and corners of all kinds, at the full resolution and at the reduced ones."""
    largest = 0
    for _ in range(20):
        height, width = map(int, noise.integers(100, 300, 2))
        content = subsampled(noise, height, width, subsampling)
        top, left = int(noise.integers(height - 60)), int(noise.integers(width - 60))
        window = top, left, int(noise.integers(60, height - top + 1)), int(noise.integers(60, width - left + 1))
        *found, reduced = parts(content, 1, window)
        *expected, expected_reduced = tensorflow_parts(content, 1, window)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)
        assert reduced.shape == expected_reduced.shape
        assert max(reduced.shape[0] / window[2], reduced.shape[1] / window[3]) < 0.6
        differences = np.abs(reduced.astype(int) - expected_reduced)
        largest = max(largest, differences.max())
        assert differences[:, 1:-1].max() == 0
    assert 0 < largest <= 40 if subsampling == "422" else largest == 0


@pytest.mark.parametrize("encode", [lambda image: encoded(image, "JPEG"), lambda image: encoded(image, "PNG")])
@pytest.mark.parametrize("orientation", exif.ORIENTATIONS)
def test_an_image_is_turned_as_in_tensorflow(encode, orientation, tensorflow_parts, noise):
    content, window = encode(noise_image(noise, 130, 91)), (4, 1, 70, 81)
    for found, expected in zip(
        parts(content, orientation, window), tensorflow_parts(content, orientation, window), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_pixels_stand_for_their_file(noise):
    content, window = encoded(noise_image(noise, 50, 59), "PNG"), (3, 4, 20, 30)
    image = DecodedImage(decode(content))
    assert has_full_resolution(image.shape, 30) and not has_full_resolution(image.shape, 25)
    for found, expected in zip(
        [image.shape, image.whole(), image.part(window), image.reduced_part(window, 30)],
        parts(content, 1, window),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)


def test_real_images_have_the_pixels_of_tensorflow(shared_data, tensorflow_parts, noise):
    train = imagenet.load(shared_data / "tfds", 224)[0]
    for index in range(0, train.size, 10):
        content = train.read(index)
        window = random_resized_crop(EncodedImage(content).shape, noise.random(4, np.float32))
        for found, expected in zip(parts(content, 1, window), tensorflow_parts(content, 1, window), strict=True):
            np.testing.assert_array_equal(found, expected)


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]


def test_a_jpeg_that_libjpeg_warns_of_is_decoded_all_the_same(noise):
    content = encoded(noise_image(noise, 90, 120), "JPEG")
    scan = content.index(b"\xff\xda") + 20
    flawed = [content[:-2] + b"\1\2\3" + content[-2:], content + b"notes", content[:900] + content[1000:]]
    flawed += [flipped(content, int(place)) for place in noise.integers(scan, len(content) - 2, 10)]
    warned = 0
    for one in flawed:
        try:
            simplejpeg.decode_jpeg(one)
        except ValueError:
            warned += 1
        np.testing.assert_array_equal(decode(one), of_tensorflow.decode(one))
        assert EncodedImage(one).shape == (90, 120)
    assert warned > 3


def test_a_png_whose_notes_are_damaged_is_decoded_all_the_same(noise):
    content = png(noise, 3, 4, transparent=True)
    place = content.index(b"tRNS") + 5
    damaged = flipped(content, place)
    np.testing.assert_array_equal(decode(damaged), of_tensorflow.decode(damaged))
    np.testing.assert_array_equal(decode(damaged), decode(content))


def damaged_files() -> dict[str, bytes]:
    noise = np.random.default_rng(0)
    image = noise_image(noise, 31, 45)
    jpeg, progressive, picture = (
        encoded(image, kind, **options)
        for kind, options in [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {})]
    )
    found = {repr(start): start for start in (b"", b"hello", b"RIFF", b"\xff\xd8\xff", picture[:8], b"BM", b"GIF89a")}
    found |= {f"JPEG without its last {cut} bytes": jpeg[:-cut] for cut in (1, 2, 100, 1000)}
    found |= {f"progressive JPEG without its last {cut} bytes": progressive[:-cut] for cut in (1, 2, 100)}
    found |= {f"PNG without its last {cut} bytes": picture[:-cut] for cut in (1, 12, 13, 20, 500)}
    found |= {f"PNG of which byte {place} is another": flipped(picture, place) for place in (17, 40, 1000, 4000)}
    return found


@pytest.mark.parametrize("name", DAMAGED := damaged_files())
def test_damage_is_an_error_as_in_tensorflow(name):
    with pytest.raises(tf.errors.InvalidArgumentError):
        of_tensorflow.decode(DAMAGED[name])
    with pytest.raises(ValueError, match="Pillow|the end is missing|a checksum is wrong"):
        decode(DAMAGED[name])
    with pytest.raises(ValueError, match="Pillow|the end is missing|a checksum is wrong"):
        EncodedImage(DAMAGED[name]).whole()
