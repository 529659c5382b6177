"""Objects and a network that version 0.1 saved, when their modules were called otherwise.

`saved_by_0_1` was written by 0.1.0 under Keras 3.12, the oldest that is supported; the archive was compressed later.
"""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.models import input_normalization, weights_loading
from keras_resnet.models.layers import SpaceToDepthConv2D
from keras_resnet.optimization import schedules
from keras_resnet.weights import metadata

FOLDER = Path(__file__).with_name("saved_by_0_1")
SAVED = json.loads((FOLDER / "classes.json").read_text())
CLASSES = {
    **{name: getattr(keras_resnet, name) for name in ("BatchNormalization", "IdentityShortcut", "ProjectionShortcut")},
    **{name: getattr(keras_resnet, name) for name in ("Rematerialized", "ResidualNetwork", "SGD", "LARS")},
    "Conv2D": SpaceToDepthConv2D,
    **{name: getattr(schedules, name) for name in ("Steps", "Plateau", "Cosine", "Polynomial", "Warmup", "ErrorGate")},
}


@pytest.mark.parametrize("name", CLASSES)
def test_an_object_is_of_the_class_that_is_registered_by_its_name(name):
    saved = SAVED[name]
    assert saved["registered_name"] == f"keras_resnet>{name}"
    with pytest.raises(ModuleNotFoundError):
        __import__(saved["module"])
    found = keras.saving.deserialize_keras_object(saved)
    assert type(found) is CLASSES[name]
    if name != "ResidualNetwork":  # whose config holds those of Keras's own layers, with what a later Keras adds
        config = json.loads(json.dumps(keras.saving.serialize_keras_object(found)))["config"]
        assert values(saved["config"]).items() <= values(config).items()


def values(config, prefix: str = "") -> dict:
    """The numbers, texts and None of a configuration by their path in it."""
    if isinstance(config, dict):
        return {path: value for key, part in config.items() for path, value in values(part, f"{prefix}/{key}").items()}
    if isinstance(config, list):
        return values(dict(enumerate(config)), prefix)
    return {} if prefix.endswith("/module") else {prefix: config}


def test_every_registered_class_has_an_object():
    """None is forgotten that a file may hold."""
    every = keras.saving.get_custom_objects()
    assert {f"keras_resnet>{name}" for name in CLASSES} == {name for name in every if name.startswith("keras_resnet>")}


def test_a_network_computes_what_it_computed():
    """As a training left it: from uint8 images to logits."""
    expected = json.loads((FOLDER / "network.json").read_text())
    network = weights_loading.load_network(FOLDER / "network.keras")
    assert network.class_names == ("cat", "dog", "fish") and network.preprocessing is None
    assert input_normalization.described(network) == {"mean": [80.0], "deviation": [60.0], "per_pixel": False}
    outputs = network(np.array(expected["images"], "uint8"))
    np.testing.assert_allclose(outputs, expected["outputs"], rtol=1e-4, atol=1e-5)


def test_metadata_in_a_file_of_weights_are_read():
    text = json.loads((FOLDER / "network.json").read_text())["metadata"]
    network = weights_loading.load_network(FOLDER / "network.keras")
    assert metadata.loads(text) == network.weights_metadata
    assert json.loads(metadata.dumps(network.weights_metadata)) == json.loads(text), "0.1 reads what is written now"
