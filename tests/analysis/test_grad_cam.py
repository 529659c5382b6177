"""Grad-CAM: equal to CAM where that exists, and to a network cut in two everywhere else."""

from __future__ import annotations

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet import CifarResNet, ResNet18
from keras_resnet.analysis import grad_cam
from keras_resnet.experiment import build as experiment_build
from keras_resnet.models import input_normalization
from older_networks import as_in_0_2
from tiers import slow

MEAN, DEVIATION = np.full((1, 1, 3), 120.0, "float32"), np.full((1, 1, 3), 60.0, "float32")


def make(build=CifarResNet, depth=8, size=32, **options):
    """A network from uint8 images to logits."""
    image = keras.Input((size, size, 3), dtype="uint8")
    normalized = input_normalization.layer(MEAN, DEVIATION)(image)
    depths = () if build is ResNet18 else (depth,)
    network = build(*depths, input_tensor=normalized, classes=6, classifier_activation=None, **options)
    for layer in network.layers:  # as after a training: no two channels are alike
        if "_bn" in layer.name:
            layer.gamma.assign(np.random.uniform(0.5, 1.5, layer.gamma.shape))
            layer.beta.assign(np.random.uniform(-0.5, 0.5, layer.beta.shape))
    return network


@pytest.fixture(scope="module")
def network():
    """For the tests that leave it as it is."""
    random.seed(0)
    np.random.seed(0)
    return make()


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)


def class_activation_map(network, images, classes, layer) -> np.ndarray:
    """CAM (Zhou et al., 2016): the feature map weighted by the classifier's kernel; a position's part of the mean."""
    features = keras.Model(network.input, network.get_layer(layer).output)(images).numpy()
    kernel = network.get_layer("predictions").kernel.numpy()[:, classes]
    evidence = np.einsum("bhwc,cb->bhw", features, kernel) / (features.shape[1] * features.shape[2])
    return np.maximum(evidence, 0)


@pytest.mark.parametrize(
    ("options", "last"),
    [
        ({}, "conv4_block1_out"),
        ({"preactivation": True}, "post_relu"),
        ({"remat": True}, "conv4_block1_out"),
        ({"build": as_in_0_2, "shortcut": "B", "remat": True}, "conv4_block1_out"),
        *slow([({"shortcut": None}, "conv4_block1_out"), ({"build": ResNet18, "size": 64}, "conv5_block2_out")]),
    ],
)
def test_at_the_last_feature_map_it_is_the_class_activation_map(options, last):
    network = make(**options)
    size = network.image_shape[0]
    images = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), np.uint8)
    ranked = np.argsort(np.array(network(images, training=False)))
    for classes in ranked[:, -1], ranked[:, -2]:
        expected = class_activation_map(network, images, classes, last)
        most = expected.max(axis=(1, 2), keepdims=True)
        assert most.any()
        found = grad_cam.localization_map(network, images, np.array(classes))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * expected.max())
        relative = grad_cam.heat_map(network, images, np.array(classes))
        np.testing.assert_allclose(relative, expected / np.where(most, most, 1), rtol=1e-4, atol=1e-5)
        assert relative.dtype == np.float32


@pytest.mark.parametrize("layer", ["conv2_block1_out", "conv3_block1_out"])
def test_at_an_earlier_block_it_is_that_of_the_network_cut_in_two(network, images, layer):
    cut = network.get_layer(layer).output
    below, above = keras.Model(network.input, cut), keras.Model(cut, network.output)
    features = tf.constant(below(images, training=False))
    with tf.GradientTape() as tape:
        tape.watch(features)
        logit = above(features, training=False)[:, 4]
    weights = tape.gradient(logit, features).numpy().mean(axis=(1, 2))
    expected = np.maximum(np.einsum("bhwc,bc->bhw", features.numpy(), weights), 0)
    found = grad_cam.localization_map(network, images, np.full(4, 4), layer)
    assert found.shape == features.shape[:3] and found.any()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * expected.max())


def test_the_class_is_the_predicted_one_unless_another_is_asked_for(network, images):
    predicted = network(images, training=False).numpy().argmax(-1)
    found = grad_cam.heat_map(network, images)
    np.testing.assert_array_equal(found, grad_cam.heat_map(network, images, predicted))
    assert not np.allclose(found, grad_cam.heat_map(network, images, (predicted + 1) % 6))


def test_an_image_is_explained_alike_alone_and_in_company(network, images):
    together = grad_cam.heat_map(network, images, np.arange(4), "conv3_block1_out")
    for number, image in enumerate(images):
        alone = grad_cam.heat_map(network, image[None], np.array([number]), "conv3_block1_out")
        np.testing.assert_allclose(alone[0], together[number], rtol=1e-3, atol=1e-4)


def test_a_frozen_network_is_explained_alike(images):
    network = make()
    expected = grad_cam.heat_map(network, images)
    network.trainable = False
    np.testing.assert_array_equal(grad_cam.heat_map(network, images), expected)
    assert expected.max() == 1


def test_half_precision_is_explained_in_single(images):
    with experiment_build.dtype_policy("mixed_bfloat16"):
        network = make()
    found = grad_cam.heat_map(network, images)
    assert found.dtype == np.float32
    assert 0 <= found.min() <= found.max() == 1


@pytest.mark.parametrize("layer", [None, "conv2_block1_out"])
def test_where_nothing_speaks_for_a_class_all_is_zero(images, layer):
    network = make()
    classifier = network.get_layer("predictions")
    classifier.kernel.assign(np.zeros(classifier.kernel.shape))
    found = grad_cam.heat_map(network, images, layer=layer)
    assert found.shape == ((4, 8, 8) if layer is None else (4, 32, 32))
    np.testing.assert_array_equal(found, 0)


@pytest.mark.parametrize("layer", ["conv4_block1_ou", "avg_pool", "normalization", "no"])
def test_a_layer_without_a_feature_map_is_refused(network, images, layer):
    with pytest.raises(ValueError, match=f"`layer` must be a feature map.*conv4_block1_out.*Received: layer='{layer}'"):
        grad_cam.heat_map(network, images, layer=layer)


@pytest.mark.parametrize("classes", [[0, 1, 2, 6], [0, 1, 2, -1], [0, 1, 2], [[0, 1, 2, 3]]])
def test_classes_that_there_are_not_are_refused(network, images, classes):
    with pytest.raises(ValueError, match="`classes` must be 4 numbers.*below 6. Received: classes="):
        grad_cam.heat_map(network, images, np.array(classes))
