"""Logits of PyTorch's networks and of ours with their weights."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import keras_resnet
from keras_resnet.models.preprocessing import preprocess_input
from keras_resnet.models.weights_loading import load_weights, state_dict, weights_of
from keras_resnet.weights import conversion
from keras_resnet.weights.conversion import converted
from keras_resnet.weights.readers.state_dict import read_state_dict

torch = pytest.importorskip("torch", reason="the other side of the conversion is PyTorch")

from small_depths import small_depths  # noqa: E402  # after torch is known to be there
from tiers import slow  # noqa: E402
from torch_networks import Network, stirred, torch_logits  # noqa: E402

TORCHVISION = {"pool_padding": "symmetric", "bottleneck_stride": "3x3"}
CASES = {
    "torchvision 10": (
        ((1, 1, 1, 1), 1, "B", 7, "fc"),
        lambda **o: keras_resnet.ResNet(10, input_shape=(64, 64, 3), classes=7, pool_padding="symmetric", **o),
    ),
    "torchvision 14": (
        ((1, 1, 1, 1), 4, "B", 7, "fc"),
        lambda **o: keras_resnet.ResNet(14, input_shape=(64, 64, 3), classes=7, **TORCHVISION, **o),
    ),
    "torchvision 18": (
        ((2, 2, 2, 2), 1, "B", 7, "fc"),
        lambda **o: keras_resnet.ResNet18(input_shape=(64, 64, 3), classes=7, **TORCHVISION, **o),
    ),
    "torchvision 50": (
        ((3, 4, 6, 3), 4, "B", 7, "fc"),
        lambda **o: keras_resnet.ResNet50(input_shape=(64, 64, 3), classes=7, **TORCHVISION, **o),
    ),
    "akamaster A": (((1, 1, 1), 1, "A", 10, "linear"), lambda **o: keras_resnet.CifarResNet(8, **o)),
    "akamaster B": (((2, 2, 2), 1, "B", 10, "linear"), lambda **o: keras_resnet.CifarResNet(14, shortcut="B", **o)),
}


def pair(case: str):
    """A network of PyTorch with weights of no meaning, one of ours, and the layout."""
    arguments, build = CASES[case]
    return stirred(Network(*arguments)), build(classifier_activation=None), case.split()[0]


LONG = ("torchvision 18", "torchvision 50")
small_depths = pytest.fixture(small_depths, scope="module")


@pytest.fixture(scope="module", params=[*(case for case in CASES if case not in LONG), *slow(LONG)])
def both(small_depths, request):
    """A network of theirs, one of ours with its weights, and the layout."""
    theirs, ours, layout = pair(request.param)
    load_weights(ours, converted(theirs.state_dict()))
    return theirs, ours, layout


def test_logits_agree(both):
    theirs, ours, _ = both
    side = 64 if ours.name.startswith("resnet") else 32
    images = np.random.default_rng(0).normal(size=(4, side, side, 3)).astype("float32")
    expected, logits = torch_logits(theirs, images), np.array(ours(images))
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.ptp(expected))
    assert np.ptp(expected) > 0.1


def test_they_come_back_to_the_bit(both):
    theirs, ours, layout = both
    state, back = theirs.state_dict(), conversion.from_ours(weights_of(ours).arrays, layout, ours.spec)
    assert set(back) == {name for name in state if not name.endswith("num_batches_tracked")}
    for name, array in back.items():
        np.testing.assert_array_equal(array, state[name], err_msg=name)


def test_the_network_is_known_by_its_weights(both):
    theirs, ours, layout = both
    assert conversion.detect(theirs.state_dict()) == layout
    assert conversion.identify(theirs.state_dict(), layout) == ours.spec
    assert ours.preprocessing == "torch"


def test_centered_channels_cannot_be_taken_as_they_are():
    """The permutation matters: without it every shape fits and the logits are wrong."""
    theirs, ours, _ = pair("akamaster A")
    load_weights(ours, converted(theirs.state_dict()))
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    right = np.array(ours(images))
    kernel = ours.get_layer("conv3_block1_1_conv").kernel
    block = ours.get_layer("conv4_block1_1_conv").kernel
    assert kernel.shape == (3, 3, 16, 32)
    block.assign(np.array(block)[:, :, ::-1])
    assert np.abs(np.array(ours(images)) - right).max() > 1e-2


REFUSED = {
    "missing": (lambda s: s.pop("layer2.0.bn1.weight"), "must have layer2.0.bn1.weight, for conv3_block1_1_bn/gamma"),
    "classes": (
        lambda s: s.update({"linear.weight": np.zeros((9, 64), "f"), "linear.bias": np.zeros(9, "f")}),
        r"Layer 'predictions' of 'cifar_resnet8' wants kernel of shape \(64, 10\), the weights have .* \(64, 9\)",
    ),
    "deeper": (
        lambda s: s.update({"layer1.1.conv1.weight": np.zeros((16, 16, 3, 3), "float32")}),
        "must be of three stages of as many blocks each. Received: 2, 1, 1",
    ),
    "more": (
        lambda s: s.update({"layer1.0.bn3.weight": np.zeros(16, "float32")}),
        "must have a place for every weight. It has none for 1, such as layer1.0.bn3.weight",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_weights_of_another_network_are_refused_and_none_is_taken(case):
    theirs, ours, _ = pair("akamaster A")
    state, before = dict(theirs.state_dict()), [np.array(variable) for variable in ours.weights]
    change, message = REFUSED[case]
    change(state)
    with pytest.raises(ValueError, match=message):
        load_weights(ours, converted(state))
    assert ours.preprocessing is None
    for variable, value in zip(ours.weights, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preactivation": True}, "Layer 'conv2_block1_preact_bn' of 'cifar_resnet8' wants gamma"),
        ({"shortcut": "B"}, "Layer 'conv3_block1_0_conv' of 'cifar_resnet8' wants kernel"),
    ],
    ids=str,
)
def test_a_network_of_another_specification_takes_nothing(options, message):
    theirs = Network(*CASES["akamaster A"][0])
    with pytest.raises(ValueError, match=message):
        keras_resnet.CifarResNet(8, **options, weights=theirs.state_dict())


def test_a_shortcut_without_weights_is_what_the_argument_says():
    """The plain network has the very shapes of option A, and a state dict does not tell which it is of."""
    theirs = stirred(Network(*CASES["akamaster A"][0]))
    plain = keras_resnet.CifarResNet(8, shortcut=None, weights=theirs.state_dict(), classifier_activation=None)
    for name, block in theirs.named_modules():
        if name.count(".") == 1:
            block.forward = partial(without_shortcut, block)
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    expected = torch_logits(theirs, images)
    np.testing.assert_allclose(plain(images), expected, atol=1e-4 * np.ptp(expected))


def without_shortcut(block, x):
    y = torch.relu(block.bn1(block.conv1(x)))
    return torch.relu(block.bn2(block.conv2(y)))


@pytest.mark.slow
def test_a_network_without_top_passes_over_the_classifier():
    theirs, ours, _ = pair("akamaster A")
    state = dict(theirs.state_dict())
    headless = keras_resnet.CifarResNet(8, include_top=False, input_shape=(32, 32, 3), weights=state)
    load_weights(ours, converted(state))
    for name, array in state_dict(headless).items():
        np.testing.assert_array_equal(array, state_dict(ours)[name])
    del state["layer3.0.conv2.weight"]
    with pytest.raises(ValueError, match="must have layer3.0.conv2.weight"):
        load_weights(headless, converted(state))


def test_weights_without_classifier_are_refused_by_a_network_that_has_one():
    state = dict(Network(*CASES["akamaster A"][0]).state_dict())
    del state["linear.weight"], state["linear.bias"]
    with pytest.raises(ValueError, match="Layer 'predictions' of 'cifar_resnet8' wants kernel .* have none"):
        keras_resnet.CifarResNet(8, weights=state)


@pytest.mark.parametrize(("depth", "file"), [(20, "resnet20-12fca82f.th"), *slow([(32, "resnet32-d509ac18.th")])])
def test_the_error_of_published_networks(shared_data, depth, file):
    """ResNet-20 of akamaster: 8.5% on the first 1,000 test images, and the logits of PyTorch."""
    from keras_resnet.data.datasets import cifar

    test = cifar.load("cifar10", shared_data / "tfds")[1]
    images = np.array(preprocess_input(test.images, conversion.LAYOUTS["akamaster"].preprocessing))
    state = read_state_dict(shared_data / "weights" / file)
    ours = keras_resnet.CifarResNet(depth, weights=state, classifier_activation=None)
    logits = ours.predict(images, batch_size=250, verbose=0)
    error = 100 * np.mean(logits.argmax(-1) != test.labels)
    n = (depth - 2) // 6
    theirs = Network((n, n, n), 1, "A", 10, "linear")
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()}, strict=False)
    expected = torch_logits(theirs, images[:50])
    np.testing.assert_allclose(logits[:50], expected, atol=1e-4 * np.ptp(expected))
    assert error == 8.5 if depth == 20 else error <= 8.5
