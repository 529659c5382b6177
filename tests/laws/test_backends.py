"""One network, three backends: the same weights and images give the same logits, statistics and gradients.

All that needs a process of another backend is here, so that each backend starts once. Run as a program, this file
measures every case on the backend that `KERAS_BACKEND` names.
"""

from __future__ import annotations

import functools
import json
import shutil
import sys
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pytest

import bundles
import short_run
from backend_process import run_on
from keras_resnet import CifarResNet, ResNet18
from tiers import slow

TESTS = Path(__file__).parents[1]

CASES = {
    "a": (CifarResNet, {"depth": 8, "shortcut": "A"}),
    "preactivation": (CifarResNet, {"depth": 8, "shortcut": "B", "preactivation": True}),
    "rematerialized": (CifarResNet, {"depth": 8, "shortcut": "B", "remat": True}),
    "b": (CifarResNet, {"depth": 8, "shortcut": "B"}),
    "c": (CifarResNet, {"depth": 8, "shortcut": "C"}),
    "plain": (CifarResNet, {"depth": 8, "shortcut": None}),
    "bottleneck": (CifarResNet, {"depth": 11, "block": "bottleneck", "shortcut": "B", "bottleneck_stride": "3x3"}),
    "imagenet": (ResNet18, {"input_shape": (64, 64, 3), "pool_padding": "symmetric"}),
    "by blocks": (ResNet18, {"input_shape": (65, 64, 3), "space_to_depth": True}),
}
FEW, REST = list(CASES)[:1], list(CASES)[1:]
WITH_GRADIENTS = ("rematerialized", "b", "by blocks")
CHANNELS_FIRST = "logits with the channels first"
WITH_CHANNELS_FIRST = ("a", "preactivation", "imagenet", "by blocks")


def build(case: str, **options):
    builder, fixed = CASES[case]
    options = {"input_shape": (15, 18, 3), "classes": 10, "classifier_activation": None, **fixed, **options}
    return builder(**options)


def transposed(network, case: str, weights):
    """The same network with the channels first, as a function of images with the channels last."""
    *size, channels = network.image_shape
    first = build(case, data_format="channels_first", input_shape=(channels, *size), weights=weights)
    return lambda x: forward(first, np.moveaxis(x, -1, 1), training=False)


def value(tensor) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(tensor))


def loss_of(logits):
    return keras.ops.mean(keras.ops.logsumexp(logits, axis=-1) - logits[:, 3])


def train(network, x) -> tuple:
    """Logits of a training iteration and the gradient of their loss for each weight; updates the statistics."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            logits = network(x, training=True)
            loss = loss_of(logits)
        return logits, tape.gradient(loss, [v.value for v in network.trainable_variables])
    if keras.backend.backend() == "torch":
        logits = network(x, training=True)
        loss_of(logits).backward()
        return logits, [v.value.grad for v in network.trainable_variables]
    import jax

    def loss(trainable, state):
        logits, state = network.stateless_call(trainable, state, x, training=True)
        return loss_of(logits), (logits, state)

    trainable, state = ([v.value for v in of] for of in (network.trainable_variables, network.non_trainable_variables))
    gradients, (logits, state) = jax.jit(jax.grad(loss, has_aux=True))(trainable, state)
    for variable, updated in zip(network.non_trainable_variables, state, strict=True):
        variable.assign(updated)
    return logits, gradients


def forward(network, x, training: bool):
    """Logits; updates the statistics in training."""
    if keras.backend.backend() != "jax":
        return network(x, training=training)
    import jax  # which would compile each operation by itself

    call = jax.jit(functools.partial(network.stateless_call, training=training))
    trainable, state = ([v.value for v in of] for of in (network.trainable_variables, network.non_trainable_variables))
    logits, state = call(trainable, state, x)
    for variable, updated in zip(network.non_trainable_variables, state, strict=True):
        variable.assign(updated)
    return logits


def measure(folder: Path, case: str) -> dict[str, np.ndarray]:
    weights = folder / f"{case}.weights.h5"
    network = build(case, weights=weights)
    x = np.random.default_rng(1).normal(size=(4, *network.image_shape)).astype("float32")
    measured = {"logits": value(forward(network, x, training=False))}
    if keras.backend.backend() != "tensorflow" and case in WITH_CHANNELS_FIRST:
        measured[CHANNELS_FIRST] = value(transposed(network, case, weights)(x))
    if case in WITH_GRADIENTS:
        logits, gradients = train(network, x)
        for variable, gradient in zip(network.trainable_variables, gradients, strict=True):
            measured[f"gradient of {variable.path}"] = value(gradient)
    else:
        logits = forward(network, x, training=True)
    measured["logits in training"] = value(logits)
    for variable in network.non_trainable_variables:
        measured[variable.path] = value(variable)
    return measured


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A file of weights for every case, with statistics, gammas and betas that are not 0 and 1."""
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
def measured(folder):
    """Function of (backend, cases) that measures here on TensorFlow, elsewhere in one process for all cases."""

    def measured(backend: str, cases: list[str]) -> dict[str, dict]:
        if backend == "tensorflow":
            return {case: measure(folder, case) for case in cases}
        done = run_on(backend, __file__, folder, backend, *cases)
        assert done.returncode == 0, done.stderr
        return {case: dict(np.load(folder / f"{case}.{backend}.npz")) for case in cases}

    return measured


@pytest.mark.parametrize("cases", [FEW, *slow([REST])], ids=" ".join)
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_backends_agree(backend, cases, measured):
    here, elsewhere = measured("tensorflow", cases), measured(backend, cases)
    for case in cases:
        # TensorFlow cannot compute with the channels first on a CPU.
        if case in WITH_CHANNELS_FIRST:
            here[case][CHANNELS_FIRST] = here[case]["logits"]
        assert here[case].keys() == elsewhere[case].keys()
        for name, wanted in here[case].items():
            assert_agree(elsewhere[case][name], wanted, f"{case}: {name}")


def assert_agree(array, wanted, name: str) -> None:
    size = np.abs(wanted).max()
    assert size > 0, name
    if "gradient" in name:
        # Where rounding moves a value across the kink of a ReLU, its gradient changes as a whole.
        assert np.linalg.norm(array - wanted) < 0.02 * np.linalg.norm(wanted), name
    else:
        np.testing.assert_allclose(array, wanted, rtol=1e-4, atol=1e-4 * size, err_msg=name)


def test_jax_keeps_the_promise_of_a_backend():
    done = run_on("jax", TESTS / "training" / "test_backend.py")
    assert done.returncode == 0, done.stderr
    checked = ["processes", "iterations", "values", "evaluation", "resuming"]
    assert done.stdout.split() == [f"check_{what}" for what in checked]


def rows(folder: Path) -> np.ndarray:
    return np.genfromtxt(folder / "history.csv", delimiter=",", skip_header=1)


def test_jax_continues_what_tensorflow_began_as_tensorflow_does(tmp_path):
    # The first weights differ, as each backend has random numbers of its own: both continue what TensorFlow began.
    # That TensorFlow comes to the same bits when it is stopped on the way, `test_continuing` tells.
    copy = functools.partial(shutil.copytree, tmp_path / "tensorflow", tmp_path / "jax")
    assert short_run.train(tmp_path / "tensorflow", 3, copy) == 0
    done = run_on("jax", short_run.__file__, tmp_path / "jax", 6)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "continues after iteration 3" in done.stdout
    assert "JAX" in json.loads((tmp_path / "jax" / "environment.json").read_text())[-1]["devices"][0]
    np.testing.assert_allclose(rows(tmp_path / "jax"), rows(tmp_path / "tensorflow"), rtol=1e-3)


@pytest.mark.slow
def test_jax_continues_what_a_version_before_0_4_began(tmp_path):
    assert short_run.train(tmp_path / "whole") == 0
    with pytest.raises(short_run.CrashError):
        short_run.train(tmp_path / "old", 3)
    bundles.make_old(tmp_path / "old" / "checkpoints")
    done = run_on("jax", short_run.__file__, tmp_path / "old", 6)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "continues after iteration 3" in done.stdout
    np.testing.assert_allclose(rows(tmp_path / "old"), rows(tmp_path / "whole"), rtol=1e-3)
    assert (tmp_path / "old" / "checkpoints" / "ckpt-6.npz").exists()


@pytest.mark.slow
def test_tensorflow_continues_what_jax_began(tmp_path, capsys):
    assert "CrashError" in run_on("jax", short_run.__file__, tmp_path / "both", 3).stderr
    assert short_run.train(tmp_path / "both") == 0
    assert "continues after iteration 3" in capsys.readouterr().out


def main(folder: str, backend: str, *cases: str) -> None:
    # JAX would compile a generator of random numbers for each shape, of weights that come from a file anyway.
    def zeros(self, shape, dtype=None):
        return keras.ops.zeros(shape, dtype)

    with mock.patch.object(keras.initializers.VarianceScaling, "__call__", zeros):
        for case in cases:
            np.savez(Path(folder) / f"{case}.{backend}.npz", **measure(Path(folder), case))


if __name__ == "__main__":
    main(*sys.argv[1:])
