"""A person's pictures: which are found, and that they are seen as evaluation sees those of a split."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from keras_resnet.config.recipe import DataConfig, Recipe
from keras_resnet.data.encoded_splits import FileSplit
from keras_resnet.data.tensorflow.batches import evaluation_batches
from keras_resnet.data.tensorflow.encoded_images import decode
from keras_resnet.inference import pictures as picture_files
from pictures import difference, jpeg, smooth


def png(path: Path, image: np.ndarray) -> Path:
    path.write_bytes(tf.io.encode_png(image).numpy())
    return path


def test_pictures_are_found_at_any_depth_in_order(tmp_path):
    for name in ("b/2.png", "b/10.JPEG", "a.jpg", "b/deep/1.PNG", ".a.jpg", "b/._2.png", ".cache/3.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    found = [str(path.relative_to(tmp_path)) for path in picture_files.find(tmp_path)]
    assert found == ["a.jpg", "b/10.JPEG", "b/2.png", "b/deep/1.PNG"]


def test_every_format_is_found_and_the_others_are_counted(tmp_path):
    for name in ("1.webp", "2.bmp", "3.GIF", "4.jfif", "5.jpe", "6.tif", "deep.png/7"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    lines = []
    found = picture_files.find(tmp_path, lines.append)
    assert [path.name for path in found] == ["1.webp", "2.bmp", "3.GIF", "4.jfif", "5.jpe"]
    assert lines == [
        "leaving out 2 files whose names are not of JPEG, PNG, WebP, BMP or GIF: "
        f"{tmp_path / '6.tif'}, {tmp_path / 'deep.png' / '7'}"
    ]


def test_a_file_is_found_whatever_its_name(tmp_path):
    (tmp_path / ".hidden").touch()
    assert picture_files.find(tmp_path / ".hidden") == [tmp_path / ".hidden"]


def test_no_picture(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no file or folder {tmp_path / 'missing'}"):
        picture_files.find(tmp_path / "missing")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=f"{tmp_path} must hold JPEG, PNG, WebP, BMP or GIF images .* It holds none"):
        picture_files.find(tmp_path)


def test_photographs_are_seen_as_evaluation_sees_them(pictures):
    paths = picture_files.find(pictures)
    split = FileSplit(tuple(map(str, paths)), np.zeros(len(paths), np.int64), 24)
    [(expected, _)] = evaluation_batches(split, batch_size=len(paths))
    see = picture_files.viewer((24, 24, 3), whole=False)
    [(seen, images, faults)] = picture_files.batches(paths, see, len(paths))
    assert seen == paths and not faults
    np.testing.assert_array_equal(images, expected)


def test_a_small_picture_of_the_right_size_is_seen_whole_to_the_bit(tmp_path, noise):
    image = noise.integers(0, 256, (32, 32, 3), np.uint8)
    see = picture_files.viewer((32, 32, 3), whole=True)
    np.testing.assert_array_equal(see(png(tmp_path / "image.png", image)), image)


@pytest.mark.parametrize("wide", [True, False])
def test_of_a_larger_picture_the_square_in_the_middle_is_seen(tmp_path, wide, noise):
    square = noise.integers(0, 256, (96, 96, 3), np.uint8)
    image = np.concatenate([np.zeros((96, 30, 3), np.uint8), square, np.zeros((96, 31, 3), np.uint8)], axis=1)
    path = png(tmp_path / "image.png", image if wide else image.swapaxes(0, 1))
    expected = tf.image.resize(square, [32, 32], antialias=True).numpy()
    seen = picture_files.viewer((32, 32, 3), whole=True)(path)
    assert difference(seen, expected if wide else expected.swapaxes(0, 1)) < 0.5


def test_a_jpeg_and_a_png_look_alike(tmp_path):
    image = smooth(60, 50)
    (tmp_path / "image.jpg").write_bytes(jpeg(image).numpy())
    see = picture_files.viewer((20, 20, 3), whole=True)
    assert difference(see(tmp_path / "image.jpg"), see(png(tmp_path / "image.png", image))) < 2


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_picture_is_seen_as_its_file_says_that_it_is_to_be_turned(tmp_path, whole, kind, noise):
    note, stored = PIL.Image.Exif(), PIL.Image.fromarray(noise.integers(0, 256, (50, 30, 3), np.uint8))
    note[0x0112] = 6
    stored.save(tmp_path / "stored", kind, exif=note, lossless=True)
    stored.transpose(PIL.Image.Transpose.ROTATE_270).save(tmp_path / "turned", "PNG")
    see = picture_files.viewer((20, 20, 3), whole=whole)
    expected = see(tmp_path / "turned")
    np.testing.assert_array_equal(see(tmp_path / "stored"), expected)
    [(_, images, _)] = picture_files.batches([tmp_path / "stored"], see, 1)
    np.testing.assert_array_equal(images, [expected])


def test_every_grey_stays_itself_for_a_network_of_one_channel(tmp_path):
    greys = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    see = picture_files.viewer((16, 16, 1), whole=True)
    np.testing.assert_array_equal(see(png(tmp_path / "grey.png", greys)), greys)
    np.testing.assert_array_equal(see(png(tmp_path / "colour.png", np.repeat(greys, 3, axis=-1))), greys)


def test_colours_become_their_brightness_for_a_network_of_one_channel(tmp_path):
    green, blue = (png(tmp_path / f"{c}.png", np.full((8, 8, 3), np.eye(3)[c] * 255, np.uint8)) for c in (1, 2))
    see = picture_files.viewer((8, 8, 1), whole=True)
    assert see(green).shape == (8, 8, 1)
    assert see(green).min() > see(blue).max() > 0


@pytest.mark.parametrize("image_shape", [(None, None, 3), (32, 24, 3), (32, 32, 4), (3, 32, 32)])
def test_a_network_that_no_picture_fits(image_shape):
    with pytest.raises(ValueError, match=r"must be \(size, size, 1\) or \(size, size, 3\).* Received: image_shape="):
        picture_files.viewer(image_shape, whole=True)


def test_what_cannot_be_used_is_left_out_and_named(pictures):
    paths = picture_files.find(pictures)
    paths[1].write_bytes(b"")
    paths[2].write_bytes(paths[2].read_bytes()[:-20])
    paths[5].unlink()
    damaged = picture_files.find(pictures / "validation")[-1]
    content = damaged.read_bytes()
    damaged.write_bytes(content[:60] + bytes(100) + content[160:])  # both ends are whole
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(damaged.read_bytes())
    see = picture_files.viewer((16, 16, 3), whole=True)
    found = list(picture_files.batches(paths, see, 4))
    unusable = {paths[1]: "empty", paths[2]: "truncated", paths[5]: "unreadable", damaged: "damaged"}
    assert [path for seen, _, _ in found for path in seen] == [path for path in paths if path not in unusable]
    faults = [fault for _, _, faults in found for fault in faults]
    assert len(faults) == 4
    for (path, word), fault in zip(unusable.items(), faults, strict=True):
        assert fault.startswith(f"{path}: {word}")
    for seen, images, _ in found:
        for path, image in zip(seen, images, strict=True):
            np.testing.assert_array_equal(image, see(path))


def test_a_batch_may_be_empty(tmp_path):
    (tmp_path / "0.png").write_text("no picture")
    see = picture_files.viewer((16, 16, 3), whole=False)
    [(seen, images, faults)] = picture_files.batches([tmp_path / "0.png"], see, 4)
    assert not seen and not len(images)
    assert faults == [f"{tmp_path / '0.png'}: no JPEG, PNG, WebP, BMP or GIF"]


@pytest.mark.parametrize(
    ("recipe", "family", "whole"),
    [
        (None, "cifar", True),
        (None, "imagenet", False),
        (
            Recipe("small", "", data=DataConfig("digits", augmentation=(), normalization="per-channel")),
            "cifar",
            True,
        ),
        (Recipe("own", "", data=DataConfig("folder", augmentation=(), image_size=32)), "cifar", False),
    ],
)
def test_pictures_are_seen_as_the_data_set_of_the_network_was(recipe, family, whole):
    trained = SimpleNamespace(recipe=recipe, network=SimpleNamespace(spec=SimpleNamespace(family=family)))
    assert picture_files.takes_whole_images(trained) is whole
