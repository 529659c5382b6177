"""All layers of a network stand in its graph, whatever its options, and files of networks that hid some still load.

Run as a program, this file freezes networks on the backend that `KERAS_BACKEND` names.
"""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

from backend_process import run_on
from keras_resnet import CifarResNet, ResidualNetwork
from keras_resnet.models.layers import ProjectionShortcut, Rematerialized
from older_networks import as_in_0_2
from tiers import slow

SMALL = {"input_shape": (8, 8, 3)}
OPTIONS = [
    {"shortcut": "B"},
    {"shortcut": "C", "remat": True},
    *slow([{"shortcut": "A", "remat": True}, {"shortcut": "C", "preactivation": True, "remat": True}]),
]


def images(count=4):
    return np.random.default_rng(0).normal(size=(count, 8, 8, 3)).astype("float32")


def value(tensor):
    return keras.ops.convert_to_numpy(tensor)


def changed_by_training(network, freeze=keras.layers.BatchNormalization) -> set[str]:
    """The names of the variables that change after the usual loop that freezes layers of a kind."""
    for layer in network.layers:
        if isinstance(layer, freeze):
            layer.trainable = False
    model = keras.Model(network.input, keras.layers.Dense(3)(network.output))
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = [np.array(value(v)) for v in network.variables]
    model.fit(images(), np.arange(4) % 3, verbose=0)
    after = zip(network.variables, before, strict=True)
    return {variable.name for variable, array in after if not np.array_equal(array, value(variable))}


def backbone(build=CifarResNet, **options):
    return build(8, include_top=False, pooling="avg", **SMALL, **options)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_usual_loop_freezes_every_batch_normalization(options):
    assert changed_by_training(backbone(**options)) == {"kernel"}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_usual_loop_freezes_on_every_backend(backend):
    done = run_on(backend, __file__)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {str(options): ["kernel"] for options in PROGRAM}


@pytest.mark.parametrize("options", [{"shortcut": "C"}, {"shortcut": "C", "remat": True}], ids=str)
def test_every_layer_has_an_output_that_a_model_can_have(options):
    network = CifarResNet(8, **SMALL, **options)
    assert not any(isinstance(layer, (ProjectionShortcut, Rematerialized)) for layer in network.layers)
    names = [layer.name for layer in network.layers]
    middle = keras.Model(network.input, [layer.output for layer in network.layers])(images())
    assert len(middle) == len(names) == len(set(names))
    place = names.index("conv3_block1_1_relu")
    rest = keras.Model(network.layers[place].output, network.layers[names.index("conv3_block1_2_bn")].output)
    np.testing.assert_allclose(
        value(rest(middle[place])), value(middle[names.index("conv3_block1_2_bn")]), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(value(middle[-1]), value(network(images())), rtol=1e-4, atol=1e-6)


def test_rematerialization_changes_no_layer_and_no_file(tmp_path):
    flat, remat = (CifarResNet(8, shortcut="B", remat=remat, **SMALL) for remat in (False, True))
    described = [[(layer.name, type(layer), layer.output.shape) for layer in n.layers[1:]] for n in (flat, remat)]
    assert described[0] == described[1]
    remat.save_weights(tmp_path / "remat.weights.h5")
    keras.Model(flat.input, flat.output).load_weights(tmp_path / "remat.weights.h5")
    np.testing.assert_allclose(value(flat(images())), value(remat(images())), rtol=1e-5, atol=1e-6)


def rematerializes(model) -> bool:
    """Whether a gradient of the model runs a function for each of its three blocks."""
    import tensorflow as tf

    @tf.function(autograph=False)
    def gradient(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(x, training=True))
        return tape.gradient(loss, [v.value for v in model.trainable_variables])

    graph = gradient.get_concrete_function(tf.constant(images())).graph
    calls = [op for op in graph.get_operations() if op.type in ("PartitionedCall", "StatefulPartitionedCall")]
    assert len(calls) in (0, 6)
    return bool(calls)


def test_a_model_that_calls_a_network_rematerializes_and_a_graph_of_its_tensors_does_when_asked():
    network = backbone(remat=True)
    assert network.remat and rematerializes(network)
    assert rematerializes(keras.Sequential([network, keras.layers.Dense(3)]))
    outputs = keras.layers.Dense(3)(network.output)
    assert not rematerializes(keras.Model(network.input, outputs))
    assert rematerializes(ResidualNetwork(network.input, outputs, remat=True))
    pyramid = ResidualNetwork(network.input, network.pyramid_outputs, remat=True)
    assert {level: y.shape for level, y in pyramid(images()).items()} == {
        level: (4, *y.shape[1:]) for level, y in network.pyramid_outputs.items()
    }


def test_a_block_whose_inside_is_an_output_is_computed_once():
    network = backbone(remat=True)
    names = ["conv2_block1_1_relu", "conv3_block1_out", "avg_pool"]
    outputs = [network.get_layer(name).output for name in names]
    several = ResidualNetwork(network.input, outputs, remat=True)
    for mine, other in zip(several(images()), keras.Model(network.input, outputs)(images()), strict=True):
        np.testing.assert_allclose(value(mine), value(other), rtol=1e-5, atol=1e-6)


# What version 0.2 saved

OLDER = [
    {"shortcut": "B"},
    {"shortcut": "C", "remat": True},
    *slow([{"shortcut": "A", "remat": True}, {"shortcut": "C", "preactivation": True}]),
]


def trained(network):
    numbers = np.random.default_rng(1)
    for variable in network.variables:
        variable.assign(numbers.uniform(0.5, 1.5, variable.shape))
    return network


def assert_same(network, other):
    np.testing.assert_allclose(value(network(images())), value(other(images())), rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module", params=OLDER, ids=str)
def older(request, tmp_path_factory):
    """The options of a network, the network as version 0.2 built it, and the folder of its files."""
    network, folder = trained(as_in_0_2(8, **SMALL, **request.param)), tmp_path_factory.mktemp("older")
    network.save(folder / "network.keras")
    network.save_weights(folder / "network.weights.h5")
    return request.param, network, folder


def test_an_older_file_is_the_network_that_it_was(older):
    _, network, folder = older
    loaded = keras.saving.load_model(folder / "network.keras")
    assert_same(loaded, network)
    assert loaded.spec == network.spec and loaded.pyramid_outputs.keys() == network.pyramid_outputs.keys()
    assert any(isinstance(layer, (ProjectionShortcut, Rematerialized)) for layer in loaded.layers)


@pytest.mark.parametrize("file", ["network.weights.h5", "network.keras"])
def test_older_weights_load_into_the_network_of_today(older, file):
    options, network, folder = older
    by_builder = CifarResNet(8, weights=folder / file, **SMALL, **options)
    by_keras = CifarResNet(8, **SMALL, **options)
    by_keras.load_weights(folder / file)
    assert_same(by_builder, network)
    assert_same(by_keras, network)


def test_weights_of_today_load_into_an_older_network(older, tmp_path):
    options, _, folder = older
    today = trained(CifarResNet(8, **SMALL, **options))
    today.save_weights(tmp_path / "today.weights.h5")
    loaded = keras.saving.load_model(folder / "network.keras")
    loaded.load_weights(tmp_path / "today.weights.h5")
    assert_same(loaded, today)


def test_older_weights_of_another_network_are_refused_by_the_layer(older):
    options, _, folder = older
    with pytest.raises(ValueError, match="has no weights of the layer 'conv2_block2_"):
        CifarResNet(14, **SMALL, **options).load_weights(folder / "network.weights.h5")
    deeper = CifarResNet(14, **SMALL, **options)
    deeper.load_weights(folder / "network.weights.h5", skip_mismatch=True)
    np.testing.assert_array_equal(deeper.get_layer("conv1_conv").kernel, older[1].get_layer("conv1_conv").kernel)


@pytest.mark.parametrize("options", [{}, {"preactivation": True}, {"include_top": False}], ids=str)
def test_layers_inside_of_others_are_listed_before_the_end(options):
    """So that `layers[-1]` and `layers[-2]` are what they are everywhere."""
    older, today = (build(8, shortcut="C", remat=True, **SMALL, **options) for build in (as_in_0_2, CifarResNet))
    names, graph = [layer.name for layer in older.layers], [layer.name for layer in older.operations]
    assert names[-1] == graph[-1] == today.layers[-1].name
    assert options.get("include_top") is False or names[-2:] == graph[-2:] == ["avg_pool", "predictions"]
    assert {layer.name for layer in today.layers[1:]} <= set(names)
    assert older.spec == today.spec
    levels = [{level: y.shape for level, y in network.pyramid_outputs.items()} for network in (older, today)]
    assert levels[0] == levels[1]
    keras.Model(older.input, older.pyramid_outputs)


def test_the_usual_loop_freezes_what_an_older_network_holds_inside(tmp_path):
    backbone(as_in_0_2, shortcut="C", remat=True).save(tmp_path / "backbone.keras")
    assert changed_by_training(keras.saving.load_model(tmp_path / "backbone.keras")) == {"kernel"}


PROGRAM = [{"shortcut": "B"}, {"shortcut": "C", "remat": True}]

if __name__ == "__main__":
    print(json.dumps({str(options): sorted(changed_by_training(backbone(**options))) for options in PROGRAM}))
