"""Trained networks from runs, files of Keras and weights, all from uint8 images to logits."""

from __future__ import annotations

from dataclasses import replace

import h5py
import keras
import numpy as np
import pytest

import keras_resnet
from catalog import RECIPES
from finished_runs import finished_run
from keras_resnet.config.recipe import ScheduleConfig, TrainingConfig
from keras_resnet.inference import trained_network
from keras_resnet.models.preprocessing import preprocess_input
from tiers import slow

RECIPE = replace(
    RECIPES["digits-resnet8"],
    schedule=ScheduleConfig(iterations=4, boundaries=(2,)),
    training=TrainingConfig(global_batch_size=32, log_every=2, validate_every=4),
)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return finished_run(tmp_path_factory.mktemp("run"), RECIPE).path


@pytest.fixture
def network():
    """With weights and statistics unlike those of the start."""
    network = keras_resnet.CifarResNet(8)
    for variable in network.weights:
        variable.assign(variable + np.abs(np.random.normal(0, 0.2, variable.shape)))
    return network


def logits_of(network, images):
    bare = keras.Model(network.input, network.get_layer("avg_pool").output)
    top = network.get_layer("predictions")
    return np.array(bare(images)) @ np.array(top.kernel) + np.array(top.bias)


def test_a_run_is_its_network_recipe_and_classes(run):
    found = trained_network.load(run)
    assert found.recipe == RECIPE and found.class_names == tuple("0123456789") and found.source == run
    assert found.network.input.dtype == "uint8" and found.network.image_shape == (8, 8, 1)
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), np.uint8)
    saved = keras.saving.load_model(run / "model.keras")
    np.testing.assert_array_equal(found.network(images), saved(images))


def test_the_file_of_a_run_is_enough(run):
    found = trained_network.load(run / "model.keras")
    assert found.recipe is None and found.network.image_shape == (8, 8, 1)
    with pytest.raises(ValueError, match="normalizes images itself. Received: 'tf'"):
        trained_network.load(run / "model.keras", "tf")


@pytest.mark.parametrize(
    ("file", "convention"),
    [
        *(("n.keras", "torch"), ("n.weights.h5", "caffe"), ("n.keras", "tf")),
        *slow([("n.weights.h5", "torch"), ("n.keras", "caffe"), ("n.weights.h5", "tf")]),
    ],
)
def test_files_see_what_their_convention_says(network, convention, file, tmp_path):
    network.preprocessing, network.class_names = convention, tuple("abcdefghij")
    if file.endswith(".keras"):
        network.save(tmp_path / file)
    else:
        network.save_weights(tmp_path / file)
    found = trained_network.load(tmp_path / file)
    assert found.class_names == tuple("abcdefghij")
    expected = logits_of(network, preprocess_input(IMAGES, convention))
    np.testing.assert_allclose(found.network(IMAGES), expected, atol=1e-5 * np.ptp(expected))


def test_a_file_that_does_not_say_must_be_told(network, tmp_path):
    network.save_weights(tmp_path / "n.weights.h5")
    with pytest.raises(ValueError, match="`preprocessing` must be one of torch, caffe, tf. Received: None"):
        trained_network.load(tmp_path / "n.weights.h5")
    assert trained_network.load(tmp_path / "n.weights.h5", "tf").network.image_shape == (32, 32, 3)


def test_a_file_of_an_older_version_that_names_no_network_is_refused(network, tmp_path):
    network.save_weights(tmp_path / "n.weights.h5")
    with h5py.File(tmp_path / "n.weights.h5", "a") as file:
        del file["keras_resnet"]
    with pytest.raises(ValueError, match="does not say of which network it is: load it into one, and save that again"):
        trained_network.load(tmp_path / "n.weights.h5", "tf")


def test_a_file_is_not_contradicted(network, tmp_path):
    network.preprocessing = "caffe"
    network.save_weights(tmp_path / "n.weights.h5")
    with pytest.raises(ValueError, match="must be None or 'caffe', which .* says of its weights. Received: 'torch'"):
        trained_network.load(tmp_path / "n.weights.h5", "torch")


def test_weights_of_another_program_say_it_themselves(shared_data):
    found = trained_network.load(shared_data / "weights" / "resnet20-12fca82f.th")
    assert found.network.spec.depth == 20 and found.network.input.dtype == "uint8"
    assert np.array(found.network(IMAGES)).shape == (4, 10)


def test_what_is_no_trained_network_is_refused(run, tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file or directory"):
        trained_network.load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=r"must be the directory of a run. It has no recipe\.json"):
        trained_network.load(tmp_path)
    (tmp_path / "recipe.json").write_bytes((run / "recipe.json").read_bytes())
    with pytest.raises(FileNotFoundError, match=r"must hold a finished run. It has no result\.json"):
        trained_network.load(tmp_path)
    (tmp_path / "result.json").write_bytes((run / "result.json").read_bytes())
    with pytest.raises(FileNotFoundError, match=r"with its network. It has no model\.keras. Train .*json again"):
        trained_network.load(tmp_path)
    (tmp_path / "broken.keras").write_bytes((run / "model.keras").read_bytes()[:1000])
    with pytest.raises(ValueError, match="broken.keras is no file of Keras's weights, or damaged"):
        trained_network.load(tmp_path / "broken.keras")


def test_networks_of_others_and_without_a_classifier_are_refused(tmp_path):
    inputs = keras.Input((8,))
    keras.Model(inputs, keras.layers.Dense(2, name="dense")(inputs)).save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="other.keras: The weights must have the names of one of .* dense/kernel"):
        trained_network.load(tmp_path / "other.keras")
    headless = keras_resnet.CifarResNet(8, include_top=False)
    headless.preprocessing = "tf"
    headless.save_weights(tmp_path / "n.weights.h5")
    with pytest.raises(ValueError, match="must hold a network with its classifier. It has none"):
        trained_network.load(tmp_path / "n.weights.h5")
    grey = keras_resnet.CifarResNet(8, input_shape=(32, 32, 1))
    grey.preprocessing = "tf"
    grey.save_weights(tmp_path / "g.weights.h5")
    with pytest.raises(ValueError, match="must be for images of 3 channels. Received: 1"):
        trained_network.load(tmp_path / "g.weights.h5")
