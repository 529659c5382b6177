"""Logits of the ResNets of keras.applications and KerasHub, and of ours with their weights; and back."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import keras_resnet
from keras_models import SHAPE, applications, assert_same_logits, hub_backbone, hub_classifier, images
from keras_resnet.models.preprocessing import preprocess_input
from keras_resnet.models.weights_loading import assign, find, load_weights, state_dict
from keras_resnet.weights import conversion
from small_depths import small_depths

CASES = {
    "keras 14": (lambda: applications(14), "keras"),
    "keras 50": (lambda: applications(50), "keras"),
    "keras 101": (lambda: applications(101), "keras"),
    "keras_hub 18": (lambda: hub_classifier(18), "keras_hub"),
    "keras_hub 50": (lambda: hub_classifier(50), "keras_hub"),
}


def ours_of(theirs, **options) -> keras_resnet.ResidualNetwork:
    """The network of ours with the weights of theirs: a model, or the file of one."""
    weights = find(theirs)
    given = {"weights": weights, "input_shape": SHAPE, "classifier_activation": None}
    return keras_resnet.ResNet(**(weights.metadata.spec.options | given | options))


LONG = ("keras 50", "keras 101", "keras_hub 50")
small_depths = pytest.fixture(small_depths, scope="module")


@pytest.fixture(scope="module", params=[pytest.param(c, marks=[pytest.mark.slow] if c in LONG else []) for c in CASES])
def converted(small_depths, request):
    """A network of theirs, one of ours with its weights, and the layout."""
    build, wanted = CASES[request.param]
    theirs = build()
    layout = conversion.detect(state_dict(theirs))
    assert layout == wanted
    return theirs, ours_of(theirs), layout


def test_logits_agree(converted):
    theirs, ours, _ = converted
    assert_same_logits(theirs(images()), ours(images()))


@pytest.mark.slow
def test_their_network_loads_the_file_of_our_weights(converted, tmp_path):
    theirs, ours, layout = converted
    state = conversion.from_ours(state_dict(ours), layout, ours.spec)
    assert set(state) == set(state_dict(theirs))
    assign(theirs, state)
    theirs.save_weights(tmp_path / "a.weights.h5")
    for variable in theirs.weights:
        variable.assign(variable * 0)
    theirs.load_weights(tmp_path / "a.weights.h5")
    assert_same_logits(ours(images()), theirs(images()))


def test_what_comes_back_is_the_same_again(converted):
    _, ours, layout = converted
    before = state_dict(ours)
    load_weights(ours, conversion.converted(conversion.from_ours(before, layout, ours.spec)))
    for name, array in state_dict(ours).items():
        np.testing.assert_allclose(array, before[name], rtol=0 if layout == "keras_hub" else 1e-6, err_msg=name)


@pytest.mark.slow
def test_without_top(tmp_path):
    theirs = applications(include_top=False, pooling="avg")
    theirs.save_weights(tmp_path / "notop.weights.h5")
    ours = ours_of(tmp_path / "notop.weights.h5", pooling="avg")
    assert ours.spec.classes is None
    expected, features = np.array(theirs(images(2))), np.array(ours(images(2)))
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-4 * np.ptp(expected))


def test_a_backbone_of_keras_hub():
    theirs = hub_backbone(18)
    ours = ours_of(theirs)
    expected, features = np.array(theirs(images(2))), np.array(ours(images(2)))
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-4 * np.ptp(expected))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_pre_activation": True}, "must have the names of one of"),
        ({"block_type": "basic_block_vd"}, "must have projections where shortcuts B or C have them"),
        ({"input_conv_filters": [32, 64], "input_conv_kernel_sizes": [3, 3]}, "conv1_conv/kernel must have the shape"),
        ({"stackwise_num_blocks": [1, 1, 1, 1]}, "must be of stages of .* Received: 1, 1, 1, 1"),
    ],
    ids=str,
)
def test_networks_of_keras_hub_that_are_not_ours_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        find(hub_backbone(18, **options))


def test_the_images_are_turned_into_the_same():
    photographs = np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype("float32")
    expected = keras.applications.resnet.preprocess_input(photographs.copy())
    convention = conversion.LAYOUTS["keras"].preprocessing
    np.testing.assert_allclose(preprocess_input(photographs, convention), expected, atol=1e-4)


def test_a_model_takes_all_weights_or_none():
    model = keras_resnet.CifarResNet(8)
    before = state_dict(model)
    arrays = {name: array + 1 for name, array in before.items()}
    for change, message in (
        ({"predictions/bias": np.zeros(9)}, r"Layer 'predictions' of 'cifar_resnet8' wants bias of shape \(10,\)"),
        ({"dense/kernel": np.zeros(1)}, "The weights have 1 arrays for layers that 'cifar_resnet8' lacks, such as 'd"),
    ):
        with pytest.raises(ValueError, match=message):
            assign(model, arrays | change)
    with pytest.raises(ValueError, match="Layer 'conv1_bn' of 'cifar_resnet8' wants beta of .* have none"):
        assign(model, {name: array for name, array in arrays.items() if name != "conv1_bn/beta"})
    for name, array in state_dict(model).items():
        np.testing.assert_array_equal(array, before[name])
    assign(model, arrays)
    np.testing.assert_array_equal(model.get_layer("conv1_conv").kernel, arrays["conv1_conv/kernel"])
