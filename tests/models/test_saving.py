"""Every way in which Keras saves a model, with the metadata of a network."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import CifarResNet, ResidualNetwork, fold_batch_norm
from keras_resnet.experiment.build import dtype_policy
from tiers import slow

SMALL = {"input_shape": (8, 8, 3), "classes": 3}
KINDS = [{"shortcut": "B"}, {"remat": True}, *slow([{"preactivation": True, "shortcut": "C"}])]


def scores(network):
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")
    return keras.ops.convert_to_numpy(network(images))


@pytest.fixture(scope="module", params=KINDS, ids=str)
def network(request):
    network = CifarResNet(8, **SMALL, **request.param)
    for variable in network.variables:
        variable.assign(np.random.default_rng(1).uniform(0.5, 1.5, variable.shape))
    network.class_names, network.preprocessing = ("cat", "dog", "fish"), "torch"
    network.options = request.param
    return network


def assert_same(loaded, network):
    assert type(loaded) is ResidualNetwork and loaded.remat == network.remat
    assert loaded.weights_metadata == network.weights_metadata
    np.testing.assert_array_equal(scores(loaded), scores(network))


@pytest.mark.parametrize(
    ("name", "options"),
    [("network.keras", {}), ("network.h5", {}), ("network.hdf5", {}), ("folder", {"zipped": False})],
)
def test_a_whole_network_comes_back(network, name, options, tmp_path):
    network.save(tmp_path / name, **options)
    assert_same(keras.models.load_model(tmp_path / name), network)
    if not options:  # Keras cannot save into a folder that is there
        network.save(tmp_path / name, overwrite=True)


@pytest.mark.parametrize("name", ["network.keras", "network.h5"])
def test_a_policy_comes_back(name, tmp_path):
    with dtype_policy("mixed_bfloat16"):
        network = CifarResNet(8, **SMALL, remat=True)
    network.save(tmp_path / name)
    loaded = keras.saving.load_model(tmp_path / name)
    policies = [[layer.dtype_policy.name for layer in each.layers[1:]] for each in (loaded, network)]
    assert policies[0] == policies[1] and set(policies[0]) == {"mixed_bfloat16", "float32"}
    np.testing.assert_array_equal(scores(loaded), scores(network))


@pytest.mark.parametrize("name", ["network.keras", "network.h5"])
def test_a_network_comes_back_with_what_it_was_compiled_with(name, tmp_path):
    network = CifarResNet(8, **SMALL)
    network.compile(keras_resnet.SGD(0.5, momentum=0.9), "sparse_categorical_crossentropy")
    network.optimizer.build(network.trainable_variables)
    network.optimizer.variables[-1].assign(network.optimizer.variables[-1] + 1.0)
    network.save(tmp_path / name)
    loaded = keras.saving.load_model(tmp_path / name)
    assert type(loaded.optimizer) is keras_resnet.SGD and loaded.optimizer.learning_rate == 0.5
    if name == "network.keras":  # of an `.h5`, Keras takes the optimizer without its state
        np.testing.assert_array_equal(loaded.optimizer.variables[-1], network.optimizer.variables[-1])


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
@pytest.mark.parametrize("mode", ["int8", *slow(["int4", "float8"])])
def test_a_quantized_network_is_one_of_ours_and_comes_back(mode, tmp_path):
    network = CifarResNet(8, **SMALL, remat=True)
    spec, before = network.spec, scores(network)
    network.quantize(mode)
    assert network.spec == spec and network.get_layer("predictions").quantization_mode == mode
    after = scores(network)
    assert 0 < np.abs(after - before).max() < 0.2
    network.save(tmp_path / "network.keras")
    network.save_weights(tmp_path / "network.weights.h5")
    again = CifarResNet(8, **SMALL, remat=True)
    again.quantize(mode)
    again.load_weights(tmp_path / "network.weights.h5")
    for loaded in (keras.saving.load_model(tmp_path / "network.keras"), again):
        np.testing.assert_array_equal(scores(loaded), after)
    np.testing.assert_allclose(scores(fold_batch_norm(network)), after, atol=0.02)  # a rounding may fall elsewhere


def test_without_a_suffix_nothing_is_written(tmp_path):
    with pytest.raises(ValueError, match="Invalid filepath extension"):
        CifarResNet(8, **SMALL).save(tmp_path / "network")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["network.weights.json", "network.weights.h5"])
@pytest.mark.filterwarnings("ignore:Saving sharded weights requires")  # Keras calls it `.json` then
def test_weights_in_several_files_come_back(network, name, tmp_path):
    """Their metadata lie in the list of the files, and the weights of a layer may lie in two."""
    network.save_weights(tmp_path / name, max_shard_size=150_000 / 1024**3)
    assert len(list(tmp_path.glob("network_0000?.weights.h5"))) > 2
    loaded = CifarResNet(8, **SMALL, **network.options)
    loaded.load_weights(tmp_path / "network.weights.json")
    np.testing.assert_array_equal(scores(loaded), scores(network))
    assert_same(CifarResNet(8, **SMALL, **network.options, weights=tmp_path / "network.weights.json"), network)


def test_of_weights_in_several_files_a_missing_one_is_an_error_about_them(tmp_path):
    network = CifarResNet(8, **SMALL)
    network.save_weights(path := tmp_path / "network.weights.json", max_shard_size=150_000 / 1024**3)
    (tmp_path / "network_00001.weights.h5").unlink()
    with pytest.raises(ValueError, match="is no list of Keras's weights, or one of its files is damaged"):
        CifarResNet(8, **SMALL, weights=path)
    path.write_text("[]")
    with pytest.raises(ValueError, match="is no list of Keras's weights"):
        CifarResNet(8, **SMALL, weights=path)


def test_a_list_of_another_program_has_no_metadata(tmp_path):
    network = CifarResNet(8, **SMALL)
    plain = keras.Model(network.input, network.output)
    plain.save_weights(tmp_path / "plain.weights.json", max_shard_size=1)
    loaded = CifarResNet(8, **SMALL, weights=tmp_path / "plain.weights.json")
    np.testing.assert_array_equal(scores(loaded), scores(network))
    assert loaded.class_names is None


def test_a_network_with_layers_of_the_user_s_own_is_saved_in_several_files_too(tmp_path):
    x = keras.Input((8,))
    own = ResidualNetwork(x, keras.layers.Dense(3)(x))
    own.save_weights(tmp_path / "own.weights.json", max_shard_size=1)
    own.load_weights(tmp_path / "own.weights.json")


def test_weights_of_bfloat16_in_several_files_are_read_as_those_in_one(tmp_path):
    network = CifarResNet(8, **SMALL)
    with dtype_policy("bfloat16"):
        half = CifarResNet(8, **SMALL)
    half.set_weights(network.get_weights())
    half.save_weights(tmp_path / "half.weights.json", max_shard_size=150_000 / 1024**3)
    found = keras_resnet.CifarResNet(8, **SMALL, weights=tmp_path / "half.weights.json")
    for read, kept in zip(found.variables, half.variables, strict=True):
        np.testing.assert_array_equal(np.array(read), np.array(keras.ops.cast(kept, "float32")), read.path)
