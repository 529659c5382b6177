"""What a source of weights says of them, and what is only assumed: an argument wins over that, and over no more."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

import keras_resnet
from keras_resnet.facts.network_spec import NetworkSpec, PoolPadding
from keras_resnet.inference import trained_network
from keras_resnet.models import weights_loading
from keras_resnet.models.graph import ALLOWED
from keras_resnet.models.preprocessing import PREPROCESSING
from keras_resnet.weights import conversion, metadata
from keras_resnet.weights.metadata import WeightsMetadata
from keras_resnet.weights.readers.checkpoint import Checkpoint
from small_depths import small_depths

torch = pytest.importorskip("torch", reason="the files are PyTorch's")

small_depths = pytest.fixture(small_depths, scope="module", autouse=True)
SHAPE = (64, 64, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)


def bottlenecks(**options) -> keras_resnet.ResidualNetwork:
    given = {"bottleneck_stride": "3x3", "pool_padding": "symmetric", "classes": 5, "classifier_activation": None}
    return keras_resnet.ResNet(14, input_shape=SHAPE, **(given | options))


@pytest.fixture(scope="module")
def state():
    network = bottlenecks()
    return conversion.from_ours(weights_loading.state_dict(network), "torchvision", network.spec)


@pytest.fixture(scope="module")
def file(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "r14.pth"
    torch.save({name: torch.from_numpy(array) for name, array in state.items()}, path)
    return path


def test_what_follows_from_names_alone_is_called_assumed(state):
    assert conversion.converted(state).assumed == {"preprocessing", "bottleneck_stride", "pool_padding"}
    assert weights_loading.weights_of(bottlenecks()).assumed == frozenset()


@pytest.mark.parametrize("convention", PREPROCESSING)
def test_whoever_knows_the_preprocessing_may_say_it(file, convention):
    """As of weights that timm trained with another mean, in the names of torchvision."""
    told, rule = trained_network.load(file, convention).network, PREPROCESSING[convention]
    seen = (IMAGES - np.array(rule.mean, "float32")) / np.array(rule.deviation, "float32")
    bare = keras_resnet.ResNet(14, weights=file, classes=5, classifier_activation=None)
    expected = np.array(bare(seen[..., ::-1] if rule.reverses else seen))
    np.testing.assert_allclose(told(IMAGES), expected, atol=1e-4 * np.ptp(expected))


def test_whoever_knows_the_strides_may_say_them(file):
    """As of MSRA's weights in the names of torchvision, which detection toolboxes give out."""
    said = {"bottleneck_stride": "1x1", "pool_padding": "same"}
    built = keras_resnet.ResNet(14, weights=file, classes=5, **said)
    assert (built.spec.bottleneck_stride, built.spec.pool_padding) == ("1x1", "same")
    stated = weights_loading.read(file).stated(file, **said)
    assert stated.assumed == {"preprocessing"} and stated.metadata.spec == built.spec
    with pytest.raises(ValueError, match="`pool_padding` must be 'same', as in the network that these weights are of"):
        keras_resnet.ResNet(14, weights=stated, classes=5, pool_padding="symmetric")


@pytest.mark.parametrize(
    ("argument", "known", "given"),
    [("preprocessing", "torch", "tf"), ("bottleneck_stride", "3x3", "1x1"), ("pool_padding", "symmetric", "same")],
)
def test_what_a_file_says_is_not_contradicted(tmp_path, argument, known, given):
    network = bottlenecks()
    network.preprocessing = "torch"
    network.save_weights(tmp_path / "a.weights.h5")
    found = weights_loading.read(tmp_path / "a.weights.h5")
    assert found.stated("a", **{argument: known}).metadata == found.metadata
    with pytest.raises(ValueError, match=f"`{argument}` must be None or '{known}', which a says of its weights. Rec"):
        found.stated("a", **{argument: given})


def test_an_argument_that_makes_no_difference_contradicts_nothing():
    spec = NetworkSpec("cifar", 8, "A", "basic", classes=10)
    network = keras_resnet.CifarResNet(8)
    assert network.spec == spec
    found = weights_loading.weights_of(network).stated("a", bottleneck_stride="3x3", pool_padding="symmetric")
    assert found.metadata.spec == spec


def test_safetensors_of_this_package_say_what_they_are(state, tmp_path):
    """Also names of classes that are no valid Unicode, which files of any kind keep."""
    save_file = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed").save_file
    said = WeightsMetadata(
        replace(conversion.identify(state, "torchvision"), pool_padding="same"),
        "tf",
        ("a", "b", "caf\udce9", "ü", "\ufeff"),
    )
    save_file(state, tmp_path / "a.safetensors", metadata={metadata.KEY: metadata.dumps(said)})
    found = weights_loading.read(tmp_path / "a.safetensors")
    assert found.metadata == said and found.assumed == frozenset()
    with pytest.raises(ValueError, match="`preprocessing` must be None or 'tf', which .*a.safetensors says"):
        trained_network.load(tmp_path / "a.safetensors", "torch")
    save_file(state, tmp_path / "b.safetensors", metadata={metadata.KEY: "newer"})
    with pytest.raises(ValueError, match="b.safetensors has metadata that this version cannot read"):
        weights_loading.read(tmp_path / "b.safetensors")


@pytest.mark.parametrize("suffix", ["weights.h5", "keras"])
def test_names_of_classes_that_are_no_valid_unicode_are_kept(tmp_path, suffix):
    network = keras_resnet.CifarResNet(8, classes=2, input_shape=(8, 8, 3))
    network.class_names = ("caf\udce9", "\x1b[1m")
    path = tmp_path / f"caf\udce9.{suffix}"
    network.save(path) if suffix == "keras" else network.save_weights(path)
    assert weights_loading.read(path).metadata.class_names == network.class_names


def test_metadata_of_older_versions_is_read():
    written = WeightsMetadata(NetworkSpec("cifar", 8, "A", "basic"), None, ("ü",))
    assert metadata.loads(json.dumps(json.loads(metadata.dumps(written)), ensure_ascii=False)) == written


def test_files_whose_names_are_no_valid_unicode_are_read(state, tmp_path):
    save_file = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed").save_file
    save_file(state, tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").rename(tmp_path / "caf\udce9.safetensors")
    torch.save({name: torch.from_numpy(array) for name, array in state.items()}, tmp_path / "a.pth")
    (tmp_path / "a.pth").rename(tmp_path / "caf\udce9.pth")
    for suffix in ("safetensors", "pth"):
        assert weights_loading.read(tmp_path / f"caf\udce9.{suffix}").layout == "torchvision"


def test_layers_in_front_of_which_no_more_is_known_leave_the_preprocessing_open(state):
    found = conversion.converted(Checkpoint(state, has_front=True))
    assert found.metadata.preprocessing is None and found.preprocessing is None
    assert found.stated("a", preprocessing="caffe").metadata.preprocessing == "caffe"


def test_a_network_of_four_stages_for_small_images_is_called_so():
    """As kuangliu's for CIFAR, whose projections have other names than torchvision's, too."""
    network = keras_resnet.ResNet(10, input_shape=SHAPE, classes=10)
    theirs = conversion.from_ours(
        weights_loading.state_dict(network), "torchvision", replace(network.spec, pool_padding="symmetric")
    )
    theirs["conv1.weight"] = np.zeros((64, 3, 3, 3), "float32")
    small = {name.replace("downsample", "shortcut").replace("fc.", "linear."): a for name, a in theirs.items()}
    for state_dict in (theirs, small):
        with pytest.raises(ValueError, match="conv1.weight of 7x7 pixels, .* Received: 3x3, of a network of four"):
            conversion.identify(state_dict, conversion.detect(state_dict))


def test_the_paddings_are_those_of_the_builders():
    assert get_args(PoolPadding) == ALLOWED["pool_padding"]
