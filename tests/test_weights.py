"""Weights come back from a file of the same network, and no other file touches the network."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_resnet import CifarResNet, ResNet18
from keras_resnet.weights import layout, load_weights

KINDS = [
    {"shortcut": "A"},
    {"shortcut": "B"},
    {"shortcut": "C", "preactivation": True},
    {"shortcut": "C", "remat": True},
    {"shortcut": None, "include_top": False},
    {"depth": 11, "block": "bottleneck", "shortcut": "B"},
]


def network(depth=8, **options):
    """A small network without a weight that another network starts with."""
    built = CifarResNet(depth, **{"input_shape": (8, 8, 3), **options})
    random = np.random.default_rng(0)
    built.set_weights([random.uniform(size=weight.shape) for weight in built.weights])
    return built


def saved(folder, **options):
    path = folder / "network.weights.h5"
    network(**options).save_weights(path)
    return path


def assert_equal(ours, theirs):
    assert len(ours) == len(theirs)
    assert all(np.array_equal(*pair) for pair in zip(ours, theirs, strict=True))


def refusal(built, path, error=ValueError) -> str:
    """The message of a refusal, which leaves every weight as it was. The path may be text."""
    before = built.get_weights()
    with pytest.raises(error) as raised:
        load_weights(built, path)
    assert_equal(before, built.get_weights())
    message = str(raised.value)
    assert message.startswith("`weights` must ") and message.endswith(f"Received: weights={str(path)!r}")
    return message


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_a_network_gets_back_the_weights_that_were_saved(options, tmp_path):
    original, path = network(**options), tmp_path / "network.weights.h5"
    original.save_weights(path)
    again = CifarResNet(**{"depth": 8, "input_shape": (8, 8, 3), **options}, weights=path, name="another")
    assert_equal(original.get_weights(), again.get_weights())


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_every_weight_is_checked(options):
    """Whatever Keras would load, in its own order, is part of what is compared with the file."""
    built = network(**options)
    assert [id(v) for _, _, variables in layout(built) for v in variables] == [id(v) for v in built.weights]


@pytest.mark.parametrize("ending", ["weights.h5", "keras"])
@pytest.mark.parametrize("by_blocks", [False, True], ids=["from by blocks", "to by blocks"])
@pytest.mark.parametrize("options", [{}, {"shortcut": "A", "preactivation": True, "include_top": False}], ids=str)
def test_a_convolution_by_blocks_has_the_files_of_the_strided_one(options, by_blocks, ending, tmp_path):
    """Through `weights=` and through Keras's own functions; the classes of both layers have one name for it."""
    options = {"input_shape": (32, 32, 3), **options}
    original = ResNet18(**options, space_to_depth=not by_blocks)
    random = np.random.default_rng(0)
    original.set_weights([random.uniform(size=weight.shape) for weight in original.weights])
    path = tmp_path / f"network.{ending}"
    original.save_weights(path) if ending == "weights.h5" else original.save(path)
    again = ResNet18(**options, space_to_depth=by_blocks)
    again.load_weights(path)
    assert_equal(original.get_weights(), again.get_weights())
    if ending == "weights.h5":
        checked = ResNet18(**options, space_to_depth=by_blocks, weights=path)
        assert_equal(original.get_weights(), checked.get_weights())


def test_weights_of_a_compiled_network_come_without_its_optimizer(tmp_path):
    trained, path = network(), tmp_path / "network.weights.h5"
    trained.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    trained.fit(np.zeros((4, 8, 8, 3)), np.zeros(4), verbose=0)
    trained.save_weights(path)
    again = CifarResNet(8, input_shape=(8, 8, 3), weights=path)
    assert_equal(trained.get_weights(), again.get_weights())


@pytest.mark.parametrize(
    ("of_the_file", "of_the_network", "difference"),
    [
        ({"depth": 14}, {"depth": 8}, "Layer 'conv3_block1_1_conv'"),
        ({"depth": 8}, {"depth": 14}, "Layer 'conv2_block2_1_conv'"),
        ({"shortcut": "A"}, {"shortcut": "B"}, "Layer 'conv3_block1_0_conv'"),
        ({"shortcut": "B"}, {"shortcut": "C"}, "Layer 'conv2_block1_0_conv'"),
        (
            {"shortcut": "B"},
            {"shortcut": "A"},
            "10 arrays for layers that 'cifar_resnet8' lacks, such as 'conv3_block1_0_bn'",
        ),
        ({"classes": 10}, {"classes": 100}, "Layer 'predictions' of 'cifar_resnet8' wants kernel of shape (64, 100)"),
        ({"include_top": False}, {}, "Layer 'predictions'"),
        ({}, {"include_top": False}, "2 arrays for layers that 'cifar_resnet8' lacks, such as 'predictions'"),
        ({"input_shape": (8, 8, 1)}, {}, "Layer 'conv1_conv' of 'cifar_resnet8' wants kernel of shape (3, 3, 3, 16)"),
        ({}, {"preactivation": True}, "Layer 'conv2_block1_preact_bn'"),
        ({"remat": False}, {"remat": True}, "Layer 'conv2_block1_1_conv'"),
    ],
    ids=str,
)
def test_a_file_of_another_network_is_refused_by_the_first_layer_that_differs(
    of_the_file, of_the_network, difference, tmp_path
):
    message = refusal(network(**of_the_network), saved(tmp_path, **of_the_file))
    assert "must belong to a network of the same arguments" in message
    assert difference in message


def test_what_the_file_has_instead_is_named(tmp_path):
    message = refusal(network(classes=100), saved(tmp_path, classes=10))
    assert "the file has kernel of shape (64, 10) of layer 'predictions'" in message


def test_a_builder_refuses_as_well(tmp_path):
    with pytest.raises(ValueError, match="Layer 'conv1_conv' of 'resnet18' wants kernel of shape"):
        ResNet18(input_shape=(32, 32, 3), weights=saved(tmp_path))


@pytest.mark.parametrize("weights", ["imagenet", "missing.weights.h5", "", "folder"])
def test_what_is_no_file_is_refused(weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    message = refusal(network(), weights, FileNotFoundError)
    assert "None or the path of a `.weights.h5` file that exists" in message


@pytest.mark.parametrize("content", [b"", b"these are no weights", b"\x89HDF\r\n\x1a\n and no more"], ids=len)
def test_a_file_that_is_no_hdf5_is_refused(content, tmp_path):
    path = tmp_path / "network.weights.h5"
    path.write_bytes(content)
    assert "this one cannot be read" in refusal(network(), path)


@pytest.mark.parametrize("share", [0.3, 0.999])
def test_a_truncated_file_is_refused(share, tmp_path):
    path = saved(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "this one cannot be read" in refusal(network(), path)


def test_an_hdf5_file_without_weights_is_refused_by_the_first_layer(tmp_path):
    import h5py

    path = tmp_path / "network.weights.h5"
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros(3)
    assert "Layer 'conv1_conv'" in refusal(network(), path)
