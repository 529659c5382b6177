"""Batch normalization on the JAX backend beside Keras's in float64, on one device and on up to eight."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

PROGRAM = Path(__file__).parents[2] / "support" / "batch_normalization_on_jax.py"
IMAGES = (16, 5, 7, 6)
WEIGHTS = 4

GROUPS = {
    "all images of one device": {},
    "images alone": {"size": 1},
    "four images of sixteen": {"size": 4},
    "the size of the batch": {"size": 16},
    "synchronized, on one device": {"options": {"synchronized": True}},
    "each of four": {"replicas": 4},
    "part of each of four": {"replicas": 4, "size": 2},
    "as many as each of four": {"replicas": 4, "size": 4, "options": {"synchronized": True}},
    "pairs of four": {"replicas": 4, "size": 8},
    "fours of eight": {"replicas": 8, "size": 8},
    "all of four": {"replicas": 4, "size": 16},
    "all of eight": {"replicas": 8, "options": {"synchronized": True}},
    "pairs, rematerialized": {"replicas": 4, "size": 8, "rematerialized": True},
}
"""The ways of dividing 16 images, in float32; each sees the same images."""

LOW_PRECISION = {
    f"{policy}, {name}": {"options": {"dtype": policy}, **case}
    for policy in ("mixed_bfloat16", "mixed_float16")
    for name, case in {"one device": {}, "pairs of four": {"replicas": 4, "size": 8}}.items()
}

SHAPES = {
    f"{shape}, {options}, {size}": {"shape": shape, "options": options, "size": size}
    for shape, options in [
        ((4, 6, 5, 7), {"axis": 1}),
        ((16, 6), {}),
        ((4, 5, 6), {}),
        ((4, 3, 6, 3, 2), {"axis": 2}),
        ((4, 5, 7, 6), {"center": False}),
        ((4, 5, 7, 6), {"scale": False}),
    ]
    for size in (None, shape[0] // 2)
}

FAR_MEANS = {
    f"{policy}, mean {mean} times the deviation": {"mean": mean, "options": {"dtype": policy}}
    for policy in ("float32", "mixed_bfloat16", "mixed_float16")
    for mean in (3.0, 30.0)
}

REFUSED = {
    f"{size} of {16 // replicas} on {replicas}": {"replicas": replicas, "size": size}
    for replicas, size in [(1, 3), (1, 32), (4, 3), (4, 12), (4, 32)]
}

INFERENCE = {
    "inference": {"inference": True},
    "inference, channels second": {"inference": True, "shape": (4, 6, 5, 7), "options": {"axis": 1}},
}

CASES = GROUPS | LOW_PRECISION | SHAPES | FAR_MEANS | REFUSED | INFERENCE


def arrays_of(case: dict) -> list[np.ndarray]:
    """Inputs, what the outputs are multiplied with, both as bfloat16 holds them exactly, and the weights; float32."""
    random, shape = np.random.default_rng(0), case.get("shape", IMAGES)
    options = case.get("options", {})
    inputs = random.normal(1.5, 2.0, shape) if "mean" not in case else random.normal(case["mean"], 1.0, shape)
    kinds = WEIGHTS - (not options.get("center", True)) - (not options.get("scale", True))
    weights = random.uniform(0.5, 2.0, (kinds, shape[options.get("axis", -1)]))
    rounded = (np.float32(tf.cast(values, "bfloat16")) for values in (inputs, random.normal(size=shape)))
    return [*rounded, *np.float32(weights)]


@pytest.fixture(scope="module")
def on_jax(tmp_path_factory) -> dict[str, dict[str, np.ndarray]]:
    """What the layer computed in each case: all cases in one process with eight devices."""
    pytest.importorskip("jax")
    folder = tmp_path_factory.mktemp("on_jax")
    arrays, cases = {}, {}
    for name, case in CASES.items():
        given = {f"{name}/{i}": values for i, values in enumerate(arrays_of(case))}
        arrays |= given
        cases[name] = case | {"arrays": list(given)}
    (folder / "cases.json").write_text(json.dumps(cases))
    np.savez(folder / "arrays.npz", **arrays)
    flags = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
    environment = {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": flags,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = [sys.executable, PROGRAM, *(folder / file for file in ("cases.json", "arrays.npz", "results.npz"))]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    computed: dict[str, dict[str, np.ndarray]] = {name: {} for name in CASES}
    with np.load(folder / "results.npz") as results:
        for key, values in results.items():
            name, _, what = key.rpartition("/")
            computed[name][what] = values
    return computed


def expected(case: dict) -> list[np.ndarray]:
    """What Keras's layer computes on TensorFlow in float64, of the images of one group after the other."""
    inputs, towards, *weights = (np.float64(values) for values in arrays_of(case))
    size = case.get("size") or len(inputs) // (1 if "options" in case else case.get("replicas", 1))
    parts = [slice(first, first + size) for first in range(0, len(inputs), size)]
    options = {"momentum": 0.9, "epsilon": 1e-5} | case.get("options", {}) | {"dtype": "float64"}
    computed = []
    for part in parts:
        layer = keras.layers.BatchNormalization(**options)
        layer.build(inputs.shape)
        layer.set_weights(weights)
        x = tf.constant(inputs[part])
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=True)
            loss = tf.reduce_sum(outputs * towards[part])
        gradients = tape.gradient(loss, [x, *(variable.value for variable in layer.trainable_variables)])
        computed.append([outputs, *gradients, *(variable.value for variable in layer.non_trainable_variables)])
    outputs, d_inputs, *others = ([np.asarray(values) for values in of] for of in zip(*computed, strict=True))
    gradients, state = others[:-2], others[-2:]
    sums = [*(np.sum(values, 0) for values in gradients), *(np.mean(values, 0) for values in state)]
    return [np.concatenate(outputs), np.concatenate(d_inputs), *sums]


def errors(found: dict[str, np.ndarray], case: dict) -> list[float]:
    """The largest difference of each result, as a share of its largest value."""
    return [
        float(np.abs(found[str(i)] - values).max() / np.abs(values).max()) for i, values in enumerate(expected(case))
    ]


@pytest.mark.parametrize("name", [*GROUPS, *SHAPES])
def test_images_are_normalized_with_those_of_their_group(name, on_jax):
    """Outputs, the gradients of inputs, gamma and beta, and the moving statistics."""
    assert max(errors(on_jax[name], CASES[name])) < 1e-5


@pytest.mark.parametrize("name", LOW_PRECISION)
def test_low_precision_has_statistics_of_float32(name, on_jax):
    """Outputs and the gradient of inputs are rounded once, to the 8 bits of bfloat16 or the 11 of float16."""
    half_a_bit = 2.0**-8 if "bfloat16" in name else 2.0**-11
    outputs, d_inputs, d_gamma, d_beta, *moving = errors(on_jax[name], CASES[name])
    assert max(outputs, d_inputs) <= 1.001 * half_a_bit
    assert max(d_gamma, d_beta, *moving) < 2e-6
    assert on_jax[name]["dtype"] == CASES[name]["options"]["dtype"].removeprefix("mixed_")


def test_collectives_unite_the_replicas(on_jax):
    """One each way, or two in float32; beside those of the test, for two gradients and two moving statistics."""
    of_the_test = on_jax["each of four"]["all_reduces"]
    assert on_jax["part of each of four"]["all_reduces"] == of_the_test == 4
    assert on_jax["mixed_bfloat16, pairs of four"]["all_reduces"] == of_the_test + 2
    assert on_jax["pairs of four"]["all_reduces"] == on_jax["all of eight"]["all_reduces"] == of_the_test + 4


@pytest.mark.parametrize("name", FAR_MEANS)
def test_a_variance_beside_a_large_mean_keeps_its_digits(name, on_jax):
    """Those of float32; in low precision all but a share of (mean / deviation)², less than the images' own rounding."""
    case = CASES[name]
    *_, mean, variance = errors(on_jax[name], case)
    assert mean < 1e-6
    assert variance < (1e-6 if name.startswith("float32") else 1e-6 * case["mean"] ** 2 + 1e-6)


@pytest.mark.parametrize("name", REFUSED)
def test_images_that_cannot_be_divided_are_refused(name, on_jax):
    size, replicas = (CASES[name][key] for key in ("size", "replicas"))
    message = (
        f"`normalization_batch_size` must divide the {16 // replicas} images of a replica, or be a multiple of them "
        f"that divides the 16 images of all replicas. Received: normalization_batch_size={size}"
    )
    assert message in str(on_jax[name]["refused"])


@pytest.mark.parametrize("name", INFERENCE)
def test_infers_as_keras_does(name, on_jax):
    inputs, _, *weights = arrays_of(CASES[name])
    layer = keras.layers.BatchNormalization(epsilon=1e-5, **CASES[name].get("options", {}))
    layer.build(inputs.shape)
    layer.set_weights(weights)
    np.testing.assert_allclose(on_jax[name]["outputs"], layer(inputs), rtol=1e-5, atol=1e-5)
