"""Weights come back from a file of the same network, and no other file touches the network."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_resnet import CifarResNet, ResNet, ResNet18
from keras_resnet.models import weights_loading
from tiers import slow

KINDS = [
    {"shortcut": "A"},
    {"shortcut": "B"},
    {"shortcut": "C", "preactivation": True},
    {"shortcut": "C", "remat": True},
    {"shortcut": None, "include_top": False},
    {"depth": 11, "block": "bottleneck", "shortcut": "B"},
]


def new(depth=8, **options):
    """A small network without a weight that another network starts with."""
    built = CifarResNet(depth, **{"input_shape": (8, 8, 3), **options})
    random = np.random.default_rng(0)
    built.set_weights([random.uniform(size=weight.shape) for weight in built.weights])
    return built


network = functools.cache(new)  # for the tests that leave it as it is


@functools.cache
def contents(**options) -> bytes:
    """What the file of such a network holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.weights.h5")
        network(**options).save_weights(path)
        return path.read_bytes()


def saved(folder, **options):
    path = folder / "network.weights.h5"
    path.write_bytes(contents(**options))
    return path


def assert_equal(ours, theirs):
    assert len(ours) == len(theirs)
    assert all(np.array_equal(*pair) for pair in zip(ours, theirs, strict=True))


def refusal(built, path, error=ValueError) -> str:
    """The message of a refusal, which leaves every weight as it was. The path may be text."""
    before = built.get_weights()
    with pytest.raises(error) as raised:
        weights_loading.load_weights(built, weights_loading.read(path), source=str(path))
    assert_equal(before, built.get_weights())
    assert str(path) in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_a_network_gets_back_the_weights_that_were_saved(options, tmp_path):
    original, path = network(**options), saved(tmp_path, **options)
    again = CifarResNet(**{"depth": 8, "input_shape": (8, 8, 3), **options}, weights=path, name="another")
    assert_equal(original.get_weights(), again.get_weights())
    # Whatever Keras would load is part of what is compared with the file.
    assert {id(v) for v in weights_loading.variables(again).values()} == {id(v) for v in again.weights}


@pytest.mark.parametrize("ending", ["weights.h5", *slow(["keras"])])
@pytest.mark.parametrize("by_blocks", [False, *slow([True])], ids=["from by blocks", "to by blocks"])
@pytest.mark.parametrize(
    "options", [{}, *slow([{"shortcut": "A", "preactivation": True, "include_top": False}])], ids=str
)
def test_a_convolution_by_blocks_has_the_files_of_the_strided_one(small_depths, options, by_blocks, ending, tmp_path):
    """Through `weights=` and through Keras's own functions; the classes of both layers have one name for it."""
    options = {"input_shape": (32, 32, 3), **options}
    original = ResNet(10, **options, space_to_depth=not by_blocks)
    random = np.random.default_rng(0)
    original.set_weights([random.uniform(size=weight.shape) for weight in original.weights])
    path = tmp_path / f"network.{ending}"
    original.save_weights(path) if ending == "weights.h5" else original.save(path)
    again = ResNet(10, **options, space_to_depth=by_blocks)
    again.load_weights(path)
    assert_equal(original.get_weights(), again.get_weights())
    if ending == "weights.h5":
        checked = ResNet(10, **options, space_to_depth=by_blocks, weights=path)
        assert_equal(original.get_weights(), checked.get_weights())


@pytest.mark.slow
def test_weights_of_a_compiled_network_come_without_its_optimizer(tmp_path):
    trained, path = new(), tmp_path / "network.weights.h5"
    trained.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    trained.fit(np.zeros((4, 8, 8, 3)), np.zeros(4), verbose=0)
    trained.save_weights(path)
    again = CifarResNet(8, input_shape=(8, 8, 3), weights=path)
    assert_equal(trained.get_weights(), again.get_weights())


@pytest.mark.parametrize(
    ("of_the_file", "of_the_network", "difference"),
    [
        ({"depth": 14}, {"depth": 8}, "30 arrays for layers that 'cifar_resnet8' lacks, such as 'conv2_block2_1_bn'"),
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
        ({"input_shape": (8, 8, 1)}, {}, "Layer 'conv1_conv' of 'cifar_resnet8' wants kernel of shape (3, 3, 3, 16)"),
        ({}, {"preactivation": True}, "Layer 'conv2_block1_preact_bn'"),
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
    assert "the weights have kernel of shape (64, 10) of layer 'predictions'" in message


def test_a_builder_refuses_as_well(small_depths, tmp_path):
    with pytest.raises(ValueError, match="Layer 'conv1_conv' of 'resnet10' wants kernel of shape"):
        ResNet(10, input_shape=(32, 32, 3), weights=saved(tmp_path))


@pytest.mark.parametrize("path", ["missing.weights.h5", "folder"])
def test_what_is_no_file_is_refused(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    message = refusal(network(), path, FileNotFoundError)
    assert "None, 'imagenet', or the path of a file that exists" in message


@pytest.mark.parametrize("content", [b"", b"these are no weights", b"\x89HDF\r\n\x1a\n and no more"], ids=len)
def test_a_file_that_is_no_hdf5_is_refused(content, tmp_path):
    path = tmp_path / "network.weights.h5"
    path.write_bytes(content)
    assert "is no file of Keras's weights, or damaged" in refusal(network(), path)


@pytest.mark.parametrize("share", [0.3, 0.999])
def test_a_truncated_file_is_refused(share, tmp_path):
    path = saved(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "is no file of Keras's weights, or damaged" in refusal(network(), path)


def test_an_hdf5_file_without_weights_is_refused(tmp_path):
    import h5py

    path = tmp_path / "network.weights.h5"
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros(3)
    assert "it has no layer with weights" in refusal(network(), path)


@pytest.mark.parametrize(
    ("of_the_file", "of_the_network", "argument"),
    [
        ({"shortcut": "A"}, {"shortcut": None}, "`shortcut` must be 'A'"),
        ({"shortcut": None}, {"shortcut": "A"}, "`shortcut` must be None"),
        ({"depth": 11, "block": "bottleneck"}, {"bottleneck_stride": "3x3"}, "`bottleneck_stride` must be '1x1'"),
    ],
    ids=str,
)
def test_what_no_shape_tells_is_refused_by_its_argument(of_the_file, of_the_network, argument, tmp_path):
    message = refusal(network(**of_the_file | of_the_network), saved(tmp_path, **of_the_file))
    assert argument in message and "as in the network that these weights are of" in message


@pytest.mark.slow
def test_what_was_left_open_is_what_the_weights_say(tmp_path):
    path = tmp_path / "network.weights.h5"
    given = {"input_shape": (32, 32, 3), "classes": 5}
    theirs = ResNet18(pool_padding="symmetric", **given)
    theirs.save_weights(path)
    assert ResNet18(weights=path, **given).spec == theirs.spec
    with pytest.raises(ValueError, match="`pool_padding` must be 'symmetric'.*Received: pool_padding='same'"):
        ResNet18(weights=path, pool_padding="same", **given)
    bottlenecks = {"depth": 11, "block": "bottleneck", "input_shape": (8, 8, 3)}
    CifarResNet(**bottlenecks, bottleneck_stride="3x3").save_weights(path)
    assert CifarResNet(**bottlenecks, weights=path).spec.bottleneck_stride == "3x3"


def test_what_is_known_of_weights_comes_with_them(tmp_path):
    original, path = new(), tmp_path / "network.weights.h5"
    original.preprocessing, original.class_names = "caffe", tuple("abcdefghij")
    original.save_weights(path)
    again = CifarResNet(8, input_shape=(8, 8, 3), weights=path)
    assert again.weights_metadata == original.weights_metadata
    anew = CifarResNet(8, input_shape=(8, 8, 3), weights=path, classes=3, new_top=True)
    assert (anew.preprocessing, anew.class_names) == ("caffe", None)


def test_a_file_that_older_versions_wrote_is_read(tmp_path):
    import h5py

    path = saved(tmp_path)
    with h5py.File(path, "a") as file:
        del file["keras_resnet"]
    assert weights_loading.read(path).metadata is None
    assert_equal(CifarResNet(8, input_shape=(8, 8, 3), weights=path).get_weights(), network().get_weights())


def test_a_file_of_a_newer_version_is_refused(tmp_path):
    import h5py

    path = saved(tmp_path)
    with h5py.File(path, "a") as file:
        del file["keras_resnet"]
        file["keras_resnet"] = '{"form": {"family": "cifar", "wings": 2}, "preprocessing": null, "class_names": null}'
    assert "has metadata that this version cannot read" in refusal(network(), path)


def test_a_network_without_top_takes_all_but_the_classifier(tmp_path):
    backbone = CifarResNet(8, input_shape=(8, 8, 3), include_top=False, weights=saved(tmp_path))
    assert_equal(network().get_weights()[:-2], backbone.get_weights())


def test_other_classes_start_anew_by_request(tmp_path):
    path = saved(tmp_path)
    message = refusal(network(classes=7), path)
    assert "For classes of your own, start the classifier anew: new_top=True" in message
    anew = CifarResNet(8, input_shape=(8, 8, 3), classes=7, weights=path, new_top=True)
    assert_equal(network().get_weights()[:-2], anew.get_weights()[:-2])
    assert anew.get_layer("predictions").kernel.shape == (64, 7)


@pytest.mark.parametrize(
    "given",
    [weights_loading.weights_of, weights_loading.state_dict, lambda network: network],
    ids=["weights", "arrays by name", "network"],
)
def test_weights_in_memory_serve_as_well(given):
    original = new()
    original.preprocessing = "torch"
    again = CifarResNet(8, input_shape=(8, 8, 3), weights=given(original))
    assert_equal(original.get_weights(), again.get_weights())
    assert again.preprocessing == (None if given is weights_loading.state_dict else "torch")


def test_errors_do_not_print_arrays():
    with pytest.raises(ValueError, match="`weights` must belong to a network of the same arguments") as raised:
        CifarResNet(14, input_shape=(8, 8, 3), weights=weights_loading.state_dict(network()))
    assert len(str(raised.value)) < 300


def test_rematerialized_blocks_have_the_files_of_flat_ones(tmp_path):
    flat, path = network(remat=False), saved(tmp_path, remat=False)
    folded = CifarResNet(8, input_shape=(8, 8, 3), remat=True, weights=path)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(flat(images), folded(images), rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 4, 6])
def test_the_first_kernel_is_adapted_to_other_channels(channels, tmp_path):
    """An image whose channels are all equal looks as it did, and so do two images one upon the other."""
    adapted = CifarResNet(8, input_shape=(8, 8, channels), weights=saved(tmp_path))
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3 if channels == 6 else 1)).astype("float32")
    three = np.tile(images, 3 // images.shape[-1])
    np.testing.assert_allclose(adapted(np.tile(images, channels // images.shape[-1])), network()(three), rtol=1e-4)


def test_what_stands_before_the_network_keeps_its_own_weights(tmp_path):
    image = keras.Input((8, 8, 3))
    normalized = keras.layers.Normalization(mean=1.0, variance=4.0)(image)
    with_normalization = CifarResNet(8, input_tensor=normalized, weights=saved(tmp_path))
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(with_normalization(images), network()((images - 1) / 2), rtol=1e-4)
