"""One network, three backends: the same weights and images give the same logits, statistics and gradients.

Run as a program, this file measures every case on the backend that `KERAS_BACKEND` names.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_resnet import CifarResNet, ResNet18

CASES = {
    "a": (CifarResNet, {"depth": 8, "shortcut": "A"}),
    "b": (CifarResNet, {"depth": 8, "shortcut": "B"}),
    "c": (CifarResNet, {"depth": 8, "shortcut": "C"}),
    "plain": (CifarResNet, {"depth": 8, "shortcut": None}),
    "preactivation": (CifarResNet, {"depth": 8, "shortcut": "B", "preactivation": True}),
    "bottleneck": (CifarResNet, {"depth": 11, "block": "bottleneck", "shortcut": "B", "bottleneck_stride": "3x3"}),
    "rematerialized": (CifarResNet, {"depth": 8, "shortcut": "B", "remat": True}),
    "imagenet": (ResNet18, {"input_shape": (64, 64, 3), "pool_padding": "symmetric"}),
}
CHANNELS_FIRST = "logits with the channels first"
WITH_CHANNELS_FIRST = ("b", "preactivation")
WITH_GRADIENTS = ("rematerialized",)


def build(case: str, **options):
    builder, fixed = CASES[case]
    options = {"input_shape": (15, 18, 3), "classes": 10, "classifier_activation": None, **fixed, **options}
    return builder(**options)


def transposed(network, case: str, weights):
    """The same network with the channels first, as a function of images with the channels last."""
    *size, channels = network.image_shape
    first = build(case, data_format="channels_first", input_shape=(channels, *size), weights=weights)
    return lambda x: first(np.moveaxis(x, -1, 1))


def value(tensor) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(tensor))


def loss_of(logits):
    return keras.ops.mean(keras.ops.logsumexp(logits, axis=-1) - logits[:, 3])


def gradients(network, x) -> list:
    """Of the loss of a training iteration, for each trainable weight. The iteration updates the statistics."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = loss_of(network(x, training=True))
        return tape.gradient(loss, [v.value for v in network.trainable_variables])
    if keras.backend.backend() == "torch":
        loss_of(network(x, training=True)).backward()
        return [v.value.grad for v in network.trainable_variables]
    import jax

    def loss(trainable, state):
        logits, state = network.stateless_call(trainable, state, x, training=True)
        return loss_of(logits), state

    trainable, state = ([v.value for v in of] for of in (network.trainable_variables, network.non_trainable_variables))
    computed, state = jax.jit(jax.grad(loss, has_aux=True))(trainable, state)
    for variable, updated in zip(network.non_trainable_variables, state, strict=True):
        variable.assign(updated)
    return computed


def measure(folder: Path, case: str) -> dict[str, np.ndarray]:
    weights = folder / f"{case}.weights.h5"
    network = build(case, weights=weights)
    x = np.random.default_rng(1).normal(size=(4, *network.image_shape)).astype("float32")
    measured = {"logits": value(network(x))}
    if keras.backend.backend() != "tensorflow" and case in WITH_CHANNELS_FIRST:
        measured[CHANNELS_FIRST] = value(transposed(network, case, weights)(x))
    if case in WITH_GRADIENTS:
        for variable, gradient in zip(network.trainable_variables, gradients(network, x), strict=True):
            measured[f"gradient of {variable.path}"] = value(gradient)
    measured["logits in training"] = value(network(x, training=True))
    for variable in network.non_trainable_variables:
        measured[variable.path] = value(variable)
    return measured


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights of every case that have seen images, so that statistics, gamma and beta are no longer 0 and 1."""
    folder = tmp_path_factory.mktemp("backends")
    random = np.random.default_rng(0)
    for case in CASES:
        network = build(case)
        for variable in network.weights:
            if variable.name != "kernel":
                low, high = (0.5, 1.5) if variable.name in ("gamma", "moving_variance") else (-0.2, 0.2)
                variable.assign(random.uniform(low, high, variable.shape))
        network.save_weights(folder / f"{case}.weights.h5")
    return folder


@pytest.fixture(scope="module")
def on_tensorflow(folder):
    return {case: measure(folder, case) for case in CASES}


@pytest.fixture(scope="module", params=["jax", "torch"])
def elsewhere(request, folder):
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    answers = folder / request.param
    answers.mkdir()
    command = [sys.executable, __file__, str(folder), str(answers)]
    environment = {**os.environ, "KERAS_BACKEND": request.param}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {case: dict(np.load(answers / f"{case}.npz")) for case in CASES}


@pytest.mark.parametrize("case", CASES)
def test_backends_agree(case, on_tensorflow, elsewhere):
    expected, measured = on_tensorflow[case], elsewhere[case]
    assert expected.keys() == measured.keys() - {CHANNELS_FIRST}
    for name, wanted in expected.items():
        size = np.abs(wanted).max()
        assert size > 0, name
        if name.startswith("gradient"):
            # Where rounding moves a value across the kink of a ReLU, its gradient changes as a whole.
            assert np.linalg.norm(measured[name] - wanted) < 0.02 * np.linalg.norm(wanted), name
        else:
            np.testing.assert_allclose(measured[name], wanted, rtol=1e-4, atol=1e-4 * size, err_msg=name)


@pytest.mark.parametrize("case", WITH_CHANNELS_FIRST)
def test_channels_may_come_first(case, on_tensorflow, elsewhere):
    """On the backends that can on a CPU; TensorFlow needs a GPU for that."""
    logits = on_tensorflow[case]["logits"]
    np.testing.assert_allclose(elsewhere[case][CHANNELS_FIRST], logits, rtol=1e-4, atol=1e-4 * np.abs(logits).max())


def main(folder: str, answers: str) -> None:
    # JAX would compile a generator of random numbers for each shape, of weights that come from a file anyway.
    keras.initializers.VarianceScaling.__call__ = lambda self, shape, dtype=None: keras.ops.zeros(shape, dtype)
    for case in CASES:
        np.savez(Path(answers) / f"{case}.npz", **measure(Path(folder), case))


if __name__ == "__main__":
    main(*sys.argv[1:])
