"""A folded network computes what the network computes, and a normalization is folded only where that is so.

Run as a program, this file folds networks on the backend that `KERAS_BACKEND` names.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

from keras_resnet import CifarResNet, ResidualNetwork, ResNet, ResNet18, ResNet50, fold_batch_norm
from keras_resnet.experiment import build as experiment_build
from keras_resnet.models import input_normalization
from keras_resnet.models.layers import ProjectionShortcut
from keras_resnet.models.residual_network import inner_layers
from older_networks import as_in_0_2
from tiers import slow

IMAGENET = {"input_shape": (64, 64, 3), "classes": 7}
CASES = {
    "a": (CifarResNet, {"depth": 8}),
    "b": (CifarResNet, {"depth": 8, "shortcut": "B"}),
    "bottleneck": (CifarResNet, {"depth": 11, "block": "bottleneck", "shortcut": "B", "bottleneck_stride": "3x3"}),
    "rematerialized": (CifarResNet, {"depth": 8, "shortcut": "B", "remat": True}),
    "older": (as_in_0_2, {"depth": 8, "shortcut": "B", "remat": True}),
    "by blocks": (ResNet, {"depth": 10, **IMAGENET, "space_to_depth": True}),
}
SLOW = {
    "c": (CifarResNet, {"depth": 8, "shortcut": "C"}),
    "plain": (CifarResNet, {"depth": 8, "shortcut": None}),
    "imagenet": (ResNet18, {**IMAGENET, "pool_padding": "symmetric"}),
    "resnet50": (ResNet50, IMAGENET),
    "resnet18 a": (ResNet18, {**IMAGENET, "shortcut": "A"}),
    "without top": (ResNet18, {"include_top": False, "input_shape": (64, 64, 3)}),
}
ON_OTHER_BACKENDS = {
    "rematerialized": CASES["rematerialized"],
    "older": CASES["older"],
    "channels first": (CifarResNet, {"depth": 8, "shortcut": "B", "data_format": "channels_first"}),
    "preactivation": (CifarResNet, {"depth": 8, "shortcut": "C", "preactivation": True}),
}


def build(case, **options) -> ResidualNetwork:
    builder, fixed = case
    if fixed.get("data_format") == "channels_first":
        options["input_shape"] = (3, 32, 32)
    return experienced(builder(classifier_activation=None, **fixed, **options))


def experienced(network):
    """Gives every normalization something to do, as a training does."""
    numbers = np.random.default_rng(1)
    for variable in network.variables:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(numbers.uniform(0.5, 1.5, variable.shape))
        elif variable.name in ("beta", "moving_mean", "bias"):
            variable.assign(numbers.normal(0.0, 0.3, variable.shape))
    return network


def outputs(network, images=None) -> np.ndarray:
    if images is None:
        images = np.random.default_rng(2).normal(size=(3, *network.input_shape[1:])).astype("float32")
    return np.array(keras.ops.convert_to_numpy(network(images, training=False)), "float64")


def difference(network, other, images=None) -> float:
    """The largest, in share of the range."""
    expected = outputs(network, images)
    return np.abs(outputs(other, images) - expected).max() / np.ptp(expected)


def names(network, kinds=layers.Layer) -> set[str]:
    return {layer.name for layer in inner_layers(network) if isinstance(layer, kinds)}


@pytest.mark.parametrize("case", [*CASES, *slow(SLOW)])
def test_every_normalization_is_folded_and_the_outputs_stay(small_depths, case):
    network = build((CASES | SLOW)[case])
    folded = fold_batch_norm(network)
    assert difference(network, folded) < 1e-5
    assert not names(folded, layers.BatchNormalization)
    # Of a projection its convolution is left.
    assert names(network) - names(folded) == names(network, (layers.BatchNormalization, ProjectionShortcut))
    assert isinstance(folded, ResidualNetwork)
    assert folded.pyramid_outputs.keys() == network.pyramid_outputs.keys()


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"shortcut": "A"}, {"conv2_block1_preact_bn", "conv3_block1_preact_bn", "conv4_block1_preact_bn", "post_bn"}),
        # The first block projects what its normalization returns, so that nothing else sees conv1.
        ({"shortcut": "C"}, {"conv3_block1_preact_bn", "conv4_block1_preact_bn", "post_bn"}),
    ],
)
def test_with_preactivation_only_normalizations_behind_a_convolution_of_their_own_go(options, left):
    network = build((CifarResNet, {"depth": 8, "preactivation": True, **options}))
    folded = fold_batch_norm(network)
    assert names(folded, layers.BatchNormalization) == left
    assert difference(network, folded) < 1e-5


def test_the_bias_of_the_first_convolution_is_kept():
    network = build((CifarResNet, {"depth": 8, "shortcut": "C", "preactivation": "slim"}))
    assert network.get_layer("conv1_conv").use_bias
    assert difference(network, fold_batch_norm(network)) < 1e-5


def test_the_network_stays_as_it_is():
    network = build(CASES["rematerialized"])
    weights, config, before = network.get_weights(), network.get_config(), outputs(network)
    fold_batch_norm(network)
    assert network.get_config() == config
    assert all(np.array_equal(*pair) for pair in zip(network.get_weights(), weights, strict=True))
    np.testing.assert_array_equal(outputs(network), before)
    assert network.get_layer("conv1_conv").output is not None  # Keras refuses for a layer that was called again


def test_a_network_that_was_trained_by_keras_can_be_folded():
    network = build(CASES["a"])
    network.compile("sgd", loss=lambda labels, logits: keras.ops.mean(logits))
    assert difference(network, fold_batch_norm(network)) < 1e-5


@pytest.mark.parametrize("case", ["older", *slow(["rematerialized", "b", "by blocks"])])
def test_a_folded_network_survives_its_file(small_depths, tmp_path, case):
    network = build(CASES[case])
    network.class_names, network.preprocessing = tuple("abcdefghij"[: network.output_shape[-1]]), "torch"
    fold_batch_norm(network).save(tmp_path / "folded.keras")
    loaded = keras.saving.load_model(tmp_path / "folded.keras")
    assert difference(network, loaded) < 1e-5
    assert (loaded.class_names, loaded.preprocessing) == (network.class_names, network.preprocessing)


def test_a_network_that_was_loaded_can_be_folded(tmp_path):
    network = build(CASES["rematerialized"])
    network.save(tmp_path / "network.keras")
    folded = fold_batch_norm(keras.saving.load_model(tmp_path / "network.keras"))
    assert not names(folded, layers.BatchNormalization)
    assert difference(network, folded) < 1e-5


def test_images_are_still_normalized_in_front():
    mean, deviation = (np.full((1, 1, 3), value, "float32") for value in (120.0, 60.0))
    image = keras.Input((32, 32, 3), dtype="uint8", name="image")
    network = build((CifarResNet, {"depth": 8, "input_tensor": input_normalization.layer(mean, deviation)(image)}))
    folded = fold_batch_norm(network)
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype="uint8")
    assert difference(network, folded, images) < 1e-5
    assert folded.inputs[0].dtype == "uint8" and folded.inputs[0].name == "image"


def test_a_normalization_keeps_what_it_was_adapted_to():
    adapted = layers.Normalization()
    adapted.adapt(np.random.default_rng(0).normal(5.0, 3.0, (20, 4, 4, 2)))
    x = keras.Input((8, 8, 2))
    network = keras.Model(x, layers.BatchNormalization()(layers.Conv2D(3, 3)(adapted(x))))
    assert difference(network, fold_batch_norm(network)) < 1e-5


def test_folding_is_exact_under_a_mixed_policy():
    with experiment_build.dtype_policy("mixed_bfloat16"):
        network = build(CASES["b"])
    folded = fold_batch_norm(network)
    conv, bn = network.get_layer("conv2_block1_1_conv"), network.get_layer("conv2_block1_1_bn")
    gamma, variance = (np.array(value, "float64") for value in (bn.gamma, bn.moving_variance))
    expected = np.array(conv.kernel, "float64") * gamma / np.sqrt(variance + bn.epsilon)
    kernel = folded.get_layer("conv2_block1_1_conv").kernel
    np.testing.assert_array_equal(np.array(kernel), expected.astype("float32"))
    assert folded.get_layer("conv2_block1_1_conv").compute_dtype == "bfloat16"
    assert difference(network, folded) < 0.02


def seen_by_another(x):
    y = layers.Conv2D(4, 3, padding="same")(x)
    return layers.Add()([layers.BatchNormalization()(y), y])


def seen_by_the_world(x):
    y = layers.Conv2D(4, 3)(x)
    return [layers.BatchNormalization()(y), y]


def with_an_activation(x):
    return layers.BatchNormalization()(layers.Conv2D(4, 3, activation="relu")(x))


def called_twice(x):
    conv = layers.Conv2D(4, 3, padding="same")
    return layers.BatchNormalization()(conv(conv(x)))


def of_two_convolutions(x):
    bn = layers.BatchNormalization()
    return layers.Add()([bn(layers.Conv2D(4, 3)(x)), bn(layers.Conv2D(4, 3)(x))])


def over_the_rows(x):
    return layers.BatchNormalization(axis=1)(layers.Conv2D(4, 3)(x))


def always_training(x):
    return layers.BatchNormalization()(layers.Conv2D(4, 3)(x), training=True)


def with_nothing_before(x):
    return layers.BatchNormalization()(x)


class Standardized(layers.Conv2D):
    """A convolution that does something else with its kernel."""

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, kernel - keras.ops.mean(kernel))


def of_another_kind(x):
    return layers.BatchNormalization()(Standardized(4, 3)(x))


@pytest.mark.parametrize(
    "graph",
    [
        *(seen_by_another, seen_by_the_world, with_an_activation, called_twice, of_two_convolutions, over_the_rows),
        *(always_training, with_nothing_before, of_another_kind),
    ],
)
def test_a_normalization_stays_where_folding_would_change_the_outputs(graph):
    x = keras.Input((8, 8, 4))
    network = experienced(keras.Model(x, graph(x)))
    folded = fold_batch_norm(network)
    assert len(names(folded, layers.BatchNormalization)) == 1
    images = np.random.default_rng(2).normal(size=(3, 8, 8, 4)).astype("float32")
    for one, other in zip(*(keras.tree.flatten(model(images)) for model in (network, folded)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("options", [{"center": False}, {"scale": False}, {"epsilon": 0.1}])
def test_all_terms_of_both_layers_are_folded(bias, options):
    x = keras.Input((8, 8, 4))
    y = layers.BatchNormalization(**options)(layers.Conv2D(6, 3, 2, use_bias=bias, groups=2)(x))
    network = experienced(keras.Model(x, y))
    folded = fold_batch_norm(network)
    assert not names(folded, layers.BatchNormalization)
    assert difference(network, folded) < 1e-5


def test_a_model_inside_a_model_is_folded():
    x = keras.Input((32, 32, 3))
    network = keras.Model(x, keras.ops.sqrt(keras.ops.square(build(CASES["a"])(x))))
    folded = fold_batch_norm(network)
    assert not names(folded, layers.BatchNormalization)
    assert difference(network, folded) < 1e-5


@pytest.mark.parametrize("model", [keras.Sequential, keras.Model])
def test_what_is_no_graph_is_refused(model):
    with pytest.raises(ValueError, match="`network` must be a functional model. Received: a"):
        fold_batch_norm(model())


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_networks_are_folded_on_every_backend(backend):
    if not importlib.util.find_spec(backend):
        pytest.skip(f"{backend} is not installed")
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    measured = dict(line.split(": ") for line in done.stdout.splitlines())
    assert measured.keys() == ON_OTHER_BACKENDS.keys()
    assert all(float(value) < 1e-5 for value in measured.values()), measured


if __name__ == "__main__":
    for case, how in ON_OTHER_BACKENDS.items():
        network = build(how)
        print(f"{case}: {difference(network, fold_batch_norm(network))}")
