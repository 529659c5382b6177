"""Weights that Keras downloads, here from a file of its own instead of the network."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras.src.applications import resnet

import keras_resnet
from keras_resnet.models import published_weights


@pytest.mark.slow
def test_the_weights_of_keras_come_converted(tmp_path, monkeypatch):
    theirs = keras.applications.ResNet50(weights=None)
    random = np.random.default_rng(0)
    for variable in theirs.weights:
        variable.assign(variable + random.uniform(0, 0.02, variable.shape))
    theirs.save_weights(tmp_path / "resnet50.weights.h5")
    monkeypatch.setattr(resnet.file_utils, "get_file", lambda *_, **__: str(tmp_path / "resnet50.weights.h5"))
    ours = keras_resnet.ResNet50(weights="imagenet")
    assert ours.spec.pool_padding == "symmetric" and ours.preprocessing == "caffe"
    images = random.uniform(0, 255, (2, 224, 224, 3)).astype("float32")
    expected = theirs(keras.applications.resnet.preprocess_input(images.copy()))
    np.testing.assert_allclose(ours(keras_resnet.preprocess_input(images, ours)), expected, atol=1e-5)
    backbone = keras_resnet.ResNet50(weights="imagenet", include_top=False, input_shape=(64, 64, 3))
    np.testing.assert_array_equal(backbone.get_layer("conv1_conv").kernel, ours.get_layer("conv1_conv").kernel)


def test_no_network_is_said_with_the_way_out(monkeypatch):
    def offline(*_, **__):
        raise Exception("URL fetch failure on https://…: None -- Name or service not known")

    monkeypatch.setattr(resnet.file_utils, "get_file", offline)
    # Keras builds the network before it downloads: here without its blocks, which takes no time.
    monkeypatch.setattr(resnet, "stack_residual_blocks_v2", lambda x, *_, **__: x)
    with pytest.raises(ConnectionError, match=r"ResNet101V2 cannot be downloaded \(URL fetch failure.*give the file"):
        published_weights.imagenet(101, "slim")


@pytest.mark.parametrize(("depth", "preactivation"), [(18, False), (34, "slim"), (50, True), (20, False)])
def test_networks_without_published_weights_are_refused(depth, preactivation):
    with pytest.raises(ValueError, match="except for ResNet-50, -101 and -152 with preactivation=False or 'slim'"):
        published_weights.imagenet(depth, preactivation)


def test_builders_refuse_as_well():
    with pytest.raises(ValueError, match="Received: weights='imagenet', depth=18, preactivation=False"):
        keras_resnet.ResNet18(weights="imagenet")
