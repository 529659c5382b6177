"""Every ResNet of torchvision and timm: ours gives the same logits, others are refused."""

from __future__ import annotations

import functools
import importlib

import numpy as np
import pytest

import keras_resnet
from keras_models import assert_same_logits
from keras_resnet.weights.conversion import converted
from torch_networks import torch_logits

pytestmark = [
    pytest.mark.peers,
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore"),  # of theirs, about torch's future and their own
]

PACKAGES = ("torchvision", "timm")
OURS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
FAMILIES = ("resnet", "resnext", "res2net", "resnest")
CLASSES = 7
SAME_NAMES_AND_SHAPES = {
    "resnetaa50": "average pooling in place of strides",
    "resnetblur18": "blurred before strides",
    "resnetblur50": "blurred before strides",
}
"""Networks of timm that compute otherwise with weights of the very names and shapes: nothing but `arch` tells them."""


@functools.cache
def package(name: str):
    """The package; the test is skipped where it is missing, or torchvision is built for another torch than this."""
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"{name} cannot be imported: {error}")


def build(name: str, network: str, **options):
    if name == "timm":
        return package(name).create_model(network, **options)
    return package(name).models.get_model(network, weights=None, **options)


def networks(name: str) -> list[str]:
    found = (
        package(name).list_models() if name == "timm" else package(name).models.list_models(module=package(name).models)
    )
    return [network for network in found if any(family in network for family in FAMILIES)]


def stirred(network):
    """With parameters and statistics unlike those of the start, which would hide a wrong one."""
    import torch

    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight, 0.5, 1.0),
                (module.running_var, 0.5, 1.5),
                (module.bias, -0.2, 0.2),
                (module.running_mean, -0.2, 0.2),
            ):
                tensor.data.uniform_(low, high, generator=generator)
    return network


@pytest.mark.parametrize("network", OURS)
@pytest.mark.parametrize("name", PACKAGES)
def test_logits_agree(name, network, tmp_path):
    theirs = stirred(build(name, network, num_classes=CLASSES))
    import torch

    torch.save(theirs.state_dict(), tmp_path / f"{network}.pth")
    builder = getattr(keras_resnet, f"ResNet{network.removeprefix('resnet')}")
    options = {"classes": CLASSES, "classifier_activation": None, "input_shape": (64, 64, 3)}
    ours = builder(weights=tmp_path / f"{network}.pth", **options)
    images = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype("float32")
    assert_same_logits(torch_logits(theirs, images), ours(images))


@pytest.mark.parametrize("name", PACKAGES)
def test_all_others_are_refused_or_cannot_be_told(name):
    """The names and shapes of the weights are enough to decide, so that nothing is computed."""
    import torch

    taken = []
    for network in networks(name):
        with torch.device("meta"):
            shapes = {key: tuple(value.shape) for key, value in build(name, network).state_dict().items()}
        state = {key: np.broadcast_to(np.float32(0.5), shape) for key, shape in shapes.items()}
        try:
            converted(state)
        except ValueError:
            continue
        taken.append(network)
    assert sorted(taken) == sorted([*OURS, *(SAME_NAMES_AND_SHAPES if name == "timm" else ())])


@pytest.mark.parametrize("network", SAME_NAMES_AND_SHAPES)
def test_a_checkpoint_that_says_what_it_is_of_is_refused(network, tmp_path):
    package("timm")
    import torch

    state = build("timm", network, num_classes=CLASSES).state_dict()
    torch.save({"arch": network, "state_dict": state}, tmp_path / "model_best.pth.tar")
    depth = int(network.removeprefix("resnetaa").removeprefix("resnetblur"))
    with pytest.raises(ValueError, match=network):
        keras_resnet.ResNet(depth, classes=CLASSES, weights=tmp_path / "model_best.pth.tar")
