"""Biases, factors and epsilons of other frameworks, as statistics of ours."""

from __future__ import annotations

import numpy as np
import pytest

from keras_resnet.models.layers import BatchNormalization
from keras_resnet.weights.conversion import verbs

RANDOM = np.random.default_rng(0)
KERNEL = RANDOM.normal(size=(1, 1, 2, 3)).astype("float32")
LAYER = {f"a_bn/{name}": RANDOM.uniform(0.5, 1.5, 3).astype("float32") for name in ("gamma", "beta")}
MOMENTS = {f"a_bn/moving_{name}": RANDOM.uniform(0.5, 1.5, 3).astype("float32") for name in ("mean", "variance")}
STATE = {"a_conv/kernel": KERNEL} | LAYER | MOMENTS


def outputs(state, epsilon: float, inputs):
    """What a convolution with bias and batch normalization give, in float64."""
    state = {name: np.asarray(array, "float64") for name, array in state.items()}
    factor = state.get("a_bn/factor", 1.0)
    x = inputs @ state["a_conv/kernel"][0, 0] + state.get("a_conv/bias", 0.0)
    x = (x - state["a_bn/moving_mean"] / factor) / np.sqrt(state["a_bn/moving_variance"] / factor + epsilon)
    return x * state["a_bn/gamma"] + state["a_bn/beta"]


@pytest.mark.parametrize(
    ("more", "epsilon"),
    [
        ({}, 1e-5),
        ({"a_conv/bias": np.array([3.0, -2.0, 0.5])}, 1e-5),
        ({"a_bn/factor": np.array([999.98])}, 1e-5),
        ({}, 1e-3),
        ({"a_conv/bias": np.array([3.0, -2.0, 0.5]), "a_bn/factor": np.array([0.25])}, 1.001e-5),
    ],
    ids=["nothing", "bias", "factor", "epsilon", "all"],
)
def test_what_is_folded_computes_the_same(more, epsilon):
    theirs = STATE | more
    ours = verbs.fold(theirs, epsilon)
    assert set(ours) == set(STATE) and {array.dtype.name for array in ours.values()} == {"float32"}
    inputs = RANDOM.normal(size=(5, 2))
    np.testing.assert_allclose(outputs(ours, 1e-5, inputs), outputs(theirs, epsilon, inputs), rtol=1e-5, atol=1e-5)
    back = verbs.unfold(ours, epsilon, biases=True)
    np.testing.assert_array_equal(back["a_conv/bias"], np.zeros(3))
    np.testing.assert_allclose(outputs(back, epsilon, inputs), outputs(theirs, epsilon, inputs), rtol=1e-5, atol=1e-5)


def test_a_factor_of_zero_means_statistics_of_zero():
    ours = verbs.fold(STATE | {"a_bn/factor": np.zeros(1)})
    np.testing.assert_array_equal(ours["a_bn/moving_mean"], np.zeros(3))
    np.testing.assert_array_equal(ours["a_bn/moving_variance"], np.zeros(3))


def test_where_nothing_is_to_fold_no_bit_changes():
    for state in (verbs.fold(STATE), verbs.unfold(STATE)):
        assert set(state) == set(STATE)
        for name, array in STATE.items():
            np.testing.assert_array_equal(state[name], array)


def test_a_bias_that_no_batch_normalization_follows_stays():
    theirs = {"b_conv/bias": np.ones(3, "float32")} | STATE
    np.testing.assert_array_equal(verbs.fold(theirs)["b_conv/bias"], np.ones(3))


def test_the_epsilon_is_that_of_our_layer():
    assert BatchNormalization().epsilon == verbs.EPSILON
