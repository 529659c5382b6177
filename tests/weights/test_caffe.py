"""Files of Caffe, and logits of its ResNet-50 and of ours with its weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import keras_resnet
from keras_resnet.facts.network_spec import NetworkSpec
from keras_resnet.models import foreign_models
from keras_resnet.models.preprocessing import preprocess_input
from keras_resnet.weights import conversion
from keras_resnet.weights.readers import state_dict

torch = pytest.importorskip("torch", reason="the other side of the conversion stands on PyTorch's operations")

from caffe_networks import blobs, caffe_logits, message, write  # noqa: E402  # after torch is known to be there
from keras_models import assert_same_logits  # noqa: E402

SMALL = {"conv1": [np.arange(24.0, dtype="f").reshape(2, 3, 2, 2), np.ones(2, "f")], "bn_conv1": [np.full(1, 0.5, "f")]}


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    made = blobs(classes=7)
    path = tmp_path_factory.mktemp("caffe") / "ResNet-50-model.caffemodel"
    write(made, path)
    return made, state_dict.read_state(path)


FORM = NetworkSpec("imagenet", 50, "B", "bottleneck", classes=7)


@pytest.mark.slow
def test_logits_agree_on_the_same_photograph(release):
    made, state = release
    network = keras_resnet.ResNet50(input_shape=(64, 64, 3), classes=7, classifier_activation=None)
    foreign_models.import_weights(network, state, conversion.detect(state))
    photographs = np.random.default_rng(1).integers(0, 256, (4, 64, 64, 3)).astype("float32")
    blue_first = photographs[..., ::-1] - np.array([103.939, 116.779, 123.68], "float32")
    assert_same_logits(caffe_logits(made, blue_first), network(preprocess_input(photographs, network)))


def test_the_network_is_known_by_its_weights(release):
    assert conversion.identify(release[1], "caffe") == FORM


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"pool_padding": "symmetric"},
            "Weights of caffe need a network of pool_padding='same'. Received: 'symmetric'",
        ),
        ({"bottleneck_stride": "3x3"}, "Weights of caffe need a network of bottleneck_stride='1x1'. Received: '3x3'"),
    ],
)
def test_another_network_of_the_same_shapes_is_refused(options, message):
    conversion.check_form(FORM, "caffe")
    with pytest.raises(ValueError, match=message):
        conversion.check_form(replace(FORM, **options), "caffe")


def test_nothing_is_given_back_to_caffe():
    with pytest.raises(ValueError, match="`layout` must be one of torchvision, .* Received: layout='caffe'"):
        conversion.from_ours({}, "caffe", FORM)


def test_blobs_are_read_as_they_are_written(tmp_path):
    write(SMALL, tmp_path / "a.caffemodel")
    found = state_dict.read_state(tmp_path / "a.caffemodel")
    assert set(found) == {"conv1/0", "conv1/1", "bn_conv1/0"}
    for name, array in found.items():
        layer, index = name.split("/")
        np.testing.assert_array_equal(array, SMALL[layer][int(index)])


def network_of(blob: dict, packed: bool = True, old: bool = False):
    network = message("NetParameter", packed)()
    (network.layers if old else network.layer).add(name="fc", blobs=[blob])
    return network.SerializeToString()


@pytest.mark.parametrize(
    ("content", "shape"),
    [
        (network_of({"data": range(6), "num": 1, "channels": 1, "height": 2, "width": 3}), (2, 3)),
        (network_of({"data": range(6), "num": 2, "channels": 3, "height": 1, "width": 1}), (2, 3, 1, 1)),
        (network_of({"data": range(6), "num": 1, "channels": 1, "height": 1, "width": 6}, old=True), (6,)),
        (network_of({"double_data": range(6), "shape": {"dim": [3, 2]}}), (3, 2)),
        (network_of({"data": range(6), "shape": {"dim": [3, 2]}}, packed=False), (3, 2)),
    ],
    ids=["four sides", "kernel of four sides", "layers before 2014", "float64", "not packed"],
)
def test_older_and_other_ways_to_write_a_blob(tmp_path, content, shape):
    (tmp_path / "a.caffemodel").write_bytes(content)
    [(name, array)] = state_dict.read_state(tmp_path / "a.caffemodel").items()
    assert name == "fc/0" and array.dtype == "float32"
    np.testing.assert_array_equal(array, np.arange(6.0).reshape(shape))


def test_a_file_that_is_cut_off_is_named(tmp_path):
    write(SMALL, tmp_path / "a.caffemodel")
    content, between = (tmp_path / "a.caffemodel").read_bytes(), 0
    for length in range(len(content)):
        (tmp_path / "a.caffemodel").write_bytes(content[:length])
        if content[length:][:2] == b"\xa2\x06" and content[:length].count(b"conv1"):  # a layer begins where it ends
            between += 1
            assert "conv1/0" in state_dict.read_state(tmp_path / "a.caffemodel")
        else:
            with pytest.raises(ValueError, match=f"{tmp_path}/a.caffemodel is no .caffemodel"):
                state_dict.read_state(tmp_path / "a.caffemodel")
    assert between == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no .caffemodel: it has no layer with weights"),
        (b"PK\x03\x04" + bytes(60), "is no .caffemodel, or damaged"),
        (b"\x89HDF\r\n\x1a\n" + bytes(60), "is no .caffemodel, or damaged"),
        (b"name: 'ResNet-50'\nlayer {\n}\n", "is no .caffemodel, or damaged"),
        (b"\xff" * 40, "more than 10 bytes"),
        (network_of({"data": range(6), "shape": {"dim": [3, 3]}}), r"6 values for the shape \[3, 3\]"),
        (network_of({"data": range(6), "shape": {"dim": [-3, -2]}}), "6 values for the shape"),
        (network_of({"data": range(6)}), "6 values for the shape"),
        (b"\xa2\x06\x02\x38\x01", "is no .caffemodel, or damaged"),
        (b"\xa2\x06\x06\x0a\x01a\x3a\x01\x28", "it ends early"),
    ],
    ids=["empty", "zip", "HDF5", "prototxt", "bits", "shape", "negative shape", "no shape", "kind", "short blob"],
)
def test_a_file_of_something_else_is_named(tmp_path, content, message):
    (tmp_path / "a.caffemodel").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        state_dict.read_state(tmp_path / "a.caffemodel")
