"""Logits of the ResNets of keras.applications and KerasHub, and of ours with their weights; and back."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import keras_resnet
from keras_models import SHAPE, applications, assert_same_logits, hub_backbone, hub_classifier, images
from keras_resnet.models import foreign_models
from keras_resnet.models.preprocessing import preprocess_input
from keras_resnet.weights import conversion
from keras_resnet.weights.readers import state_dict

CASES = {
    "keras 50": (lambda: applications(50), "keras"),
    "keras 101": (lambda: applications(101), "keras"),
    "keras_hub 18": (lambda: hub_classifier(18), "keras_hub"),
    "keras_hub 50": (lambda: hub_classifier(50), "keras_hub"),
}


def ours_of(form, **options) -> keras_resnet.ResidualNetwork:
    return keras_resnet.ResNet(**(form.options | {"input_shape": SHAPE, "classifier_activation": None} | options))


LONG = ("keras 101", "keras_hub 50")


@pytest.fixture(scope="module", params=[pytest.param(c, marks=[pytest.mark.slow] if c in LONG else []) for c in CASES])
def converted(request):
    """A network of theirs, one of ours with its weights, and the layout."""
    build, wanted = CASES[request.param]
    theirs = build()
    state = foreign_models.state_of(theirs)
    layout = conversion.detect(state)
    assert layout == wanted
    ours = ours_of(conversion.identify(state, layout))
    foreign_models.import_weights(ours, state, layout)
    return theirs, ours, layout


def test_logits_agree(converted):
    theirs, ours, _ = converted
    assert_same_logits(theirs(images()), ours(images()))


@pytest.mark.slow
def test_their_network_loads_the_file_of_our_weights(converted, tmp_path):
    theirs, ours, layout = converted
    state = foreign_models.export_weights(ours, layout)
    assert set(state) == set(foreign_models.state_of(theirs))
    foreign_models.assign(theirs, state)
    theirs.save_weights(tmp_path / "a.weights.h5")
    for variable in theirs.weights:
        variable.assign(variable * 0)
    theirs.load_weights(tmp_path / "a.weights.h5")
    assert_same_logits(ours(images()), theirs(images()))


def test_what_comes_back_is_the_same_again(converted):
    _, ours, layout = converted
    before = foreign_models.state_of(ours)
    foreign_models.import_weights(ours, foreign_models.export_weights(ours, layout), layout)
    for name, array in foreign_models.state_of(ours).items():
        np.testing.assert_allclose(array, before[name], rtol=0 if layout == "keras_hub" else 1e-6, err_msg=name)


@pytest.mark.slow
def test_without_top(tmp_path):
    theirs = applications(include_top=False, pooling="avg")
    theirs.save_weights(tmp_path / "notop.weights.h5")
    state = state_dict.read_state(tmp_path / "notop.weights.h5")
    form = conversion.identify(state, "keras")
    assert form.classes is None
    ours = ours_of(form, pooling="avg")
    foreign_models.import_weights(ours, state, "keras")
    expected, features = np.array(theirs(images(2))), np.array(ours(images(2)))
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-4 * np.ptp(expected))


def test_a_backbone_of_keras_hub():
    theirs = hub_backbone(18)
    state = foreign_models.state_of(theirs)
    ours = ours_of(conversion.identify(state, conversion.detect(state)))
    foreign_models.import_weights(ours, state, "keras_hub")
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
        translated(foreign_models.state_of(hub_backbone(18, **options)))


def translated(state) -> dict[str, np.ndarray]:
    layout = conversion.detect(state)
    return conversion.to_ours(state, layout, conversion.identify(state, layout))


def test_the_images_are_turned_into_the_same():
    photographs = np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype("float32")
    expected = keras.applications.resnet.preprocess_input(photographs.copy())
    convention = conversion.LAYOUTS["keras"].preprocessing
    np.testing.assert_allclose(preprocess_input(photographs, convention), expected, atol=1e-4)


def test_a_model_takes_all_weights_or_none():
    model = keras_resnet.CifarResNet(8)
    before = foreign_models.state_of(model)
    arrays = {name: array + 1 for name, array in before.items()}
    for change, message in (
        ({"predictions/bias": np.zeros(9)}, r"predictions/bias must have the shape \(10,\), as in 'cifar_resnet8'"),
        (
            {"dense/kernel": np.zeros(1)},
            "'cifar_resnet8' must have a place for every weight. It has none for 1, such as",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            foreign_models.assign(model, arrays | change)
    with pytest.raises(ValueError, match="must have conv1_bn/beta, as 'cifar_resnet8' has"):
        foreign_models.assign(model, {name: array for name, array in arrays.items() if name != "conv1_bn/beta"})
    for name, array in foreign_models.state_of(model).items():
        np.testing.assert_array_equal(array, before[name])
    foreign_models.assign(model, arrays)
    np.testing.assert_array_equal(model.get_layer("conv1_conv").kernel, arrays["conv1_conv/kernel"])
