"""Logits of ResNet50V2 and the deeper ones of keras.applications, and of ours with their weights."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_models import small_applications
from keras_resnet import ResNet
from keras_resnet.models.weights_loading import assign, load_weights, state_dict
from keras_resnet.weights import conversion
from keras_resnet.weights.arrays import Weights
from keras_resnet.weights.conversion import keras_v2
from small_depths import small_depths
from tiers import slow

small_depths = pytest.fixture(small_depths, scope="module")

GIVEN = {"input_shape": (64, 64, 3), "classes": 7, "classifier_activation": None}


def theirs_of(depth: int):
    if depth == 26:
        return small_applications(version=2, weights=None, **GIVEN)
    return getattr(keras.applications, f"ResNet{depth}V2")(weights=None, **GIVEN)


def ours_of(depth: int, **options):
    return ResNet(depth, **(GIVEN | keras_v2.OPTIONS | options))


def stirred(model):
    """With biases, statistics, gammas and betas unlike those of the start, which would hide a wrong one.

    The last variances are so small that epsilon matters in them.
    """
    random = np.random.default_rng(0)
    for name, array in (state := state_dict(model)).items():
        if name.endswith(("gamma", "moving_variance")):
            state[name] = random.uniform(0.5, 1.5, array.shape)
        elif not name.endswith("kernel"):
            state[name] = random.normal(0, 0.3, array.shape)
    state["post_bn/moving_variance"] *= 1e-6
    assign(model, state)
    return model


def logits_of(model, **call) -> np.ndarray:
    return np.array(model(np.random.default_rng(1).uniform(-1, 1, (4, 64, 64, 3)).astype("float32"), **call))


def assert_equal(logits, expected):
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4 * np.ptp(expected))


@pytest.fixture(scope="module", params=[26, *slow([50, 101, 152])])
def converted(small_depths, request):
    theirs, ours = stirred(theirs_of(request.param)), ours_of(request.param)
    load_weights(ours, conversion.converted(state_dict(theirs)))
    return theirs, ours


def test_logits_agree(converted):
    theirs, ours = converted
    assert_equal(logits_of(ours), logits_of(theirs))


def test_logits_agree_in_training(converted):
    """Batch normalization takes its statistics from the batch there, with the constants in them."""
    before = [model.get_weights() for model in converted]
    theirs, ours = (logits_of(model, training=True) for model in converted)
    for model, weights in zip(converted, before, strict=True):
        model.set_weights(weights)
    assert_equal(ours, theirs)


@pytest.mark.slow
def test_given_back_they_compute_the_same(converted):
    """Their biases are in our statistics then; only that of the first convolution comes back as one."""
    theirs, ours = converted
    expected, before = logits_of(ours), theirs.get_weights()
    given = conversion.from_ours(state_dict(ours), "keras_v2", ours.spec)
    assign(theirs, given)
    logits, state = logits_of(theirs), state_dict(theirs)
    theirs.set_weights(before)
    assert_equal(logits, expected)
    biased = {name for name, array in state.items() if name.endswith("_conv/bias") and array.any()}
    assert biased == {"conv1_conv/bias"}
    again = conversion.to_ours(given, "keras_v2", ours.spec)
    for name, array in state_dict(ours).items():
        np.testing.assert_allclose(again[name], array, rtol=1e-6, err_msg=name)


def test_weights_say_what_they_are_of(converted):
    theirs, ours = converted
    state = state_dict(theirs)
    assert conversion.detect(state) == "keras_v2"
    assert conversion.identify(state, "keras_v2") == ours.spec
    assert ours.preprocessing == "tf"


@pytest.mark.slow
def test_the_bias_of_the_first_convolution_cannot_be_folded():
    """The pool pads with zeros behind it, so that a constant there is none at the border."""
    theirs, ours = stirred(theirs_of(50)), ours_of(50)
    state = keras_v2.to_ours(state_dict(theirs))
    state["conv2_block1_preact_bn/moving_mean"] -= state["conv1_conv/bias"]
    state["conv1_conv/bias"] *= 0
    assign(ours, state)
    name = "conv2_block1_preact_bn"
    expected, folded = (logits_of(keras.Model(model.input, model.get_layer(name).output)) for model in (theirs, ours))
    inside = slice(1, None), slice(1, None)  # of an image of even size, the pool pads the upper and the left side alone
    np.testing.assert_allclose(folded[:, *inside], expected[:, *inside], rtol=1e-3, atol=1e-4)
    assert np.abs(folded - expected)[:, 0].max() > 0.1


REFUSED = {
    "block": ("conv3_block2_3_conv/bias", "must have conv3_block2_3_conv/bias, as V2 of keras.applications has"),
    "projection": ("conv3_block1_0_conv/bias", "must have conv3_block1_0_conv/bias, as V2 of keras.applications has"),
    "first": ("conv1_conv/bias", "must have conv1_conv/bias, for conv1_conv/bias of a network of ours"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_without_a_bias_weights_are_refused_and_none_is_taken(converted, case):
    theirs, ours = converted
    missing, message = REFUSED[case]
    state, before = state_dict(theirs), ours.get_weights()
    del state[missing]
    with pytest.raises(ValueError, match=message):
        load_weights(ours, Weights(conversion.to_ours(state, "keras_v2", ours.spec), None))
    for weights, same in zip(ours.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weights, same)


@pytest.mark.slow
def test_a_file_of_theirs_is_loaded_by_the_builder(tmp_path):
    theirs = stirred(theirs_of(50))
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    ours = ResNet(50, weights=tmp_path / "theirs.weights.h5", preactivation="slim", **GIVEN)
    assert (ours.spec.bottleneck_stride, ours.spec.pool_padding, ours.preprocessing) == ("3x3", "symmetric", "tf")
    assert_equal(logits_of(ours), logits_of(theirs))
