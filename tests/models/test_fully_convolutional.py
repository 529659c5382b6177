"""The classifier at every position, against the network itself and against sums by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_resnet import CifarResNet, ResNet18
from keras_resnet.experiment import build
from keras_resnet.models import input_normalization
from keras_resnet.models.fully_convolutional import fully_convolutional
from tiers import slow

SIZE = 32
MEAN, DEVIATION = [110.0, 120.0, 130.0], [50.0, 60.0, 70.0]


def image(size: int):
    arrays = (np.array(values, "float32")[None, None] for values in (MEAN, DEVIATION))
    return input_normalization.layer(*arrays)(keras.Input((size, size, 3), dtype="uint8"))


@pytest.mark.parametrize(
    "options",
    [{"shortcut": "B", "remat": True}, {"preactivation": True}, *slow([{"shortcut": "A"}, {"shortcut": None}])],
    ids=str,
)
def test_an_image_of_the_size_in_training_has_one_position_and_the_network_s_logits(make_network, options, noise):
    network = make_network(**options)
    images = noise.integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    logits = fully_convolutional(network, SIZE)(images)
    assert logits.shape == (2, 1, 1, 12)
    np.testing.assert_allclose(logits[:, 0, 0], network(images), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"space_to_depth": True}, {"pool_padding": "symmetric", "shortcut": "C"}], ids=str)
def test_networks_for_imagenet_as_well(options, noise):
    network = ResNet18(input_tensor=image(64), classes=5, classifier_activation=None, **options)
    images = noise.integers(0, 256, (1, 64, 64, 3), np.uint8)
    free = fully_convolutional(network, 64)
    np.testing.assert_allclose(free(images)[:, 0, 0], network(images), rtol=1e-4, atol=1e-4)
    assert free(noise.integers(0, 256, (1, 97, 128, 3), np.uint8)).shape == (1, 3, 3, 5)


def test_precision_is_that_of_the_network(noise):
    with build.dtype_policy("mixed_bfloat16"):
        network = CifarResNet(8, input_tensor=image(SIZE), classifier_activation=None)
    free = fully_convolutional(network, SIZE)
    assert {layer.compute_dtype for layer in free.layers if "conv" in layer.name or layer.name == "windows"} == {
        "bfloat16"
    }
    images = noise.integers(0, 256, (1, SIZE, SIZE, 3), np.uint8)
    assert free(images).dtype == "float32"
    np.testing.assert_allclose(free(images)[:, 0, 0], network(images), rtol=0.05, atol=0.05)


def test_a_larger_image_has_the_logits_of_every_window_of_its_map(make_network, noise):
    """The map comes from a network that was built for any size, the windows from sums in numpy."""
    network = make_network()
    images = noise.integers(0, 256, (1, 48, 41, 3), np.uint8)
    bare = CifarResNet(8, include_top=False, input_shape=(None, None, 3))
    bare.set_weights(network.get_weights()[: len(bare.weights)])
    features = bare(network.get_layer("normalization")(images)).numpy()[0]
    assert features.shape == (12, 11, 64)
    windows = np.lib.stride_tricks.sliding_window_view(features, (8, 8), axis=(0, 1)).mean((-1, -2))
    kernel, bias = network.get_layer("predictions").get_weights()
    np.testing.assert_allclose(
        fully_convolutional(network, SIZE)(images)[0], windows @ kernel + bias, rtol=1e-4, atol=1e-4
    )


def test_a_mean_image_becomes_the_mean_of_its_pixels(make_network, noise):
    """Logits are those of the network with just that mean everywhere."""
    network = make_network(per_pixel=True)
    free = fully_convolutional(network, SIZE)
    images = noise.integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    layer = network.get_layer("normalization")
    shown = (images - np.array(layer.mean).mean((0, 1, 2))) / 60
    bare = keras.Model(layer.output, network.output)
    np.testing.assert_allclose(free(images)[:, 0, 0], bare(shown), rtol=1e-4, atol=1e-4)
    assert np.abs(np.array(network(images)) - np.array(bare(shown))).max() > 1e-2
    assert free(noise.integers(0, 256, (1, 48, 41, 3), np.uint8)).shape == (1, 5, 4, 12)


def test_the_normalization_is_told(make_network, tmp_path):
    network = CifarResNet(8, input_tensor=image(SIZE), classifier_activation=None)
    network.save(tmp_path / "model.keras")
    for each in (network, keras.saving.load_model(tmp_path / "model.keras")):
        told = input_normalization.described(each)
        assert told == {"mean": MEAN, "deviation": pytest.approx(DEVIATION), "per_pixel": False}
    told = input_normalization.described(make_network(per_pixel=True))
    assert told["per_pixel"] and told["deviation"] == pytest.approx([60.0] * 3)
    assert np.mean(told["mean"]) == pytest.approx(115.0)
