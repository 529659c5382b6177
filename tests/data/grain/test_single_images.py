"""Pictures are seen alike by both roads."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.encoded_splits import DamagedImageError
from keras_resnet.data.grain import single_images
from keras_resnet.data.tensorflow import single_images as by_tensorflow
from pictures import jpeg, smooth


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_is_seen_alike(whole, channels, noise):
    """Noise, whose every pixel counts, and a JPEG; upright and turned; larger and smaller."""
    views = [module.viewer(24, channels, whole=whole) for module in (single_images, by_tensorflow)]
    images = [noise.integers(0, 256, (*shape, 3), np.uint8) for shape in ((24, 24), (90, 61), (17, 40))]
    contents = [*(tf.io.encode_png(image).numpy() for image in images), jpeg(smooth(60, 51)).numpy()]
    for content in contents:
        for orientation in (1, 6):
            ours, theirs = (view(content, orientation) for view in views)
            assert (ours.dtype, ours.shape) == (np.uint8, (24, 24, channels))
            assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1


def test_what_is_of_the_right_size_is_seen_to_the_bit(noise):
    image = noise.integers(0, 256, (24, 24, 3), np.uint8)
    see = single_images.viewer(24, 3, whole=True)
    np.testing.assert_array_equal(see(tf.io.encode_png(image).numpy(), 1), image)
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    see = single_images.viewer(16, 1, whole=True)
    np.testing.assert_array_equal(see(tf.io.encode_png(gray).numpy(), 1), gray)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xd8\xff" + bytes(50), jpeg(smooth(60, 50)).numpy()[:300]])
@pytest.mark.parametrize("module", [single_images, by_tensorflow])
def test_damage_is_one_error(module, content):
    with pytest.raises(DamagedImageError):
        module.viewer(24, 3, whole=False)(content, 1)
