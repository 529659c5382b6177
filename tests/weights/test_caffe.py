"""Files of Caffe, and logits of its ResNet-50 and of ours with its weights."""

from __future__ import annotations

import numpy as np
import pytest

import keras_resnet
from keras_resnet.facts.network_spec import NetworkSpec
from keras_resnet.models.preprocessing import preprocess_input
from keras_resnet.weights import conversion
from keras_resnet.weights.readers.state_dict import read_state_dict

torch = pytest.importorskip("torch", reason="the other side of the conversion stands on PyTorch's operations")

from caffe_networks import Ones, blobs, caffe_logits, message, write  # noqa: E402  # after torch is known to be there
from keras_models import assert_same_logits  # noqa: E402

SMALL = {"conv1": [np.arange(24.0, dtype="f").reshape(2, 3, 2, 2), np.ones(2, "f")], "bn_conv1": [np.full(1, 0.5, "f")]}
SPEC = NetworkSpec("imagenet", 50, "B", "bottleneck", classes=7)


@pytest.mark.slow
def test_logits_agree_on_the_same_photograph(tmp_path):
    made = blobs(classes=7)
    path = tmp_path / "ResNet-50-model.caffemodel"
    write(made, path)
    network = keras_resnet.ResNet50(weights=path, input_shape=(64, 64, 3), classes=7, classifier_activation=None)
    photographs = np.random.default_rng(1).integers(0, 256, (4, 64, 64, 3)).astype("float32")
    blue_first = photographs[..., ::-1] - np.array([103.939, 116.779, 123.68], "float32")
    assert_same_logits(caffe_logits(made, blue_first), network(preprocess_input(photographs, network)))


def test_the_network_is_known_by_its_weights():
    made = {f"{layer}/{k}": array for layer, arrays in blobs(7, Ones).items() for k, array in enumerate(arrays)}
    assert conversion.detect(made) == "caffe"
    assert conversion.identify(made, "caffe") == SPEC


def test_nothing_is_given_back_to_caffe():
    with pytest.raises(ValueError, match="`layout` must be one of torchvision, .* Received: layout='caffe'"):
        conversion.from_ours({}, "caffe", SPEC)


def test_blobs_are_read_as_they_are_written(tmp_path):
    write(SMALL, tmp_path / "a.caffemodel")
    found = read_state_dict(tmp_path / "a.caffemodel")
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
    [(name, array)] = read_state_dict(tmp_path / "a.caffemodel").items()
    assert name == "fc/0" and array.dtype == "float32"
    np.testing.assert_array_equal(array, np.arange(6.0).reshape(shape))


def test_a_file_that_is_cut_off_is_named(tmp_path):
    write(SMALL, tmp_path / "a.caffemodel")
    content, between = (tmp_path / "a.caffemodel").read_bytes(), 0
    for length in range(len(content)):
        (tmp_path / "a.caffemodel").write_bytes(content[:length])
        if content[length:][:2] == b"\xa2\x06" and content[:length].count(b"conv1"):  # a layer begins where it ends
            between += 1
            assert "conv1/0" in read_state_dict(tmp_path / "a.caffemodel")
        else:
            with pytest.raises(ValueError, match=f"{tmp_path}/a.caffemodel is no .caffemodel"):
                read_state_dict(tmp_path / "a.caffemodel")
    assert between == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no .caffemodel: it has no layer with weights"),
        (b"PK\x03\x04" + bytes(60), "is no .caffemodel, or damaged"),
        (b"\x89HDF\r\n\x1a\n" + bytes(60), "is no .caffemodel, or damaged"),
        (b"name: 'ResNet-50'\nlayer {\n}\n", "is no .caffemodel, or damaged"),
        (b"\xff" * 40, "is no .caffemodel, or damaged"),
        (network_of({"data": range(6), "shape": {"dim": [3, 3]}}), r"6 values for the shape \[3, 3\]"),
        (network_of({"data": range(6), "shape": {"dim": [-3, -2]}}), "6 values for the shape"),
        (network_of({"data": range(6)}), "6 values for the shape"),
        (b"\xa2\x06\x02\x38\x01", "is no .caffemodel: it has no layer with weights"),
        (b"\xa2\x06\x06\x0a\x01a\x3a\x01\x28", "is no .caffemodel, or damaged"),
        (b"\xa2\x06\x05\x0a\x01\xff\x3a\x00", "is no .caffemodel, or damaged"),
    ],
    ids=[
        "empty",
        "zip",
        "HDF5",
        "prototxt",
        "bits",
        "shape",
        "negative shape",
        "no shape",
        "kind",
        "short blob",
        "name",
    ],
)
def test_a_file_of_something_else_is_named(tmp_path, content, message):
    (tmp_path / "a.caffemodel").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_state_dict(tmp_path / "a.caffemodel")


def test_a_damaged_file_is_refused_or_read(tmp_path):
    """Whatever bits change: a `ValueError`, or arrays of numbers."""
    write(SMALL, tmp_path / "a.caffemodel")
    content, random, refused = (tmp_path / "a.caffemodel").read_bytes(), np.random.default_rng(0), 0
    for _ in range(300):
        damaged = bytearray(content)
        for position in random.integers(0, len(content), random.integers(1, 8)):
            damaged[position] = random.integers(256)
        (tmp_path / "a.caffemodel").write_bytes(damaged)
        try:
            arrays = read_state_dict(tmp_path / "a.caffemodel")
        except ValueError:
            refused += 1
        else:
            assert arrays and all(array.dtype == "float32" for array in arrays.values())
    assert 0 < refused < 300
