"""Layouts: other packages' names for the variables of a residual network, and how their networks differ from ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from keras_resnet.facts.architectures import Shortcut
from keras_resnet.weights.conversion import keras_v2, verbs

LAYER = re.compile(r"conv(?P<stage>\d+)_block(?P<block>\d+)_(?P<number>\d)_(?P<kind>conv|bn)")
Verb = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


def torch_name(name: str, depth: int, *, classifier: str, shortcut: tuple[str, str]) -> str:
    """PyTorch's `layer1.0.bn1.weight` for our `conv2_block1_1_bn/gamma`.

    Args:
        name: Name of our variable.
        depth: Depth of the network; makes no difference here.
        classifier: Name of the last layer.
        shortcut: Names of a projection's convolution and batch normalization, within its block.
    """
    layer, variable = name.split("/")
    if match := LAYER.fullmatch(layer):
        number, kind = int(match["number"]), match["kind"]
        own = f"{kind}{number}" if number else shortcut[kind == "bn"]
        module = f"layer{int(match['stage']) - 1}.{int(match['block']) - 1}.{own}"
    else:
        module = {"conv1_conv": "conv1", "conv1_bn": "bn1", "predictions": classifier}[layer]
    return f"{module}.{TORCH_VARIABLES[variable]}"


TORCH_VARIABLES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def same_name(name: str, depth: int) -> str:
    """Our name itself, which keras.applications has as well, whatever the depth."""
    return name


def hub_name(name: str, depth: int) -> str:
    """KerasHub's `stack0_block0_1_bn/gamma` for our `conv2_block1_1_bn/gamma`, whatever the depth."""
    layer, variable = name.split("/")
    if not (match := LAYER.fullmatch(layer)):
        return name
    stack, block = int(match["stage"]) - 2, int(match["block"]) - 1
    return f"stack{stack}_block{block}_{match['number']}_{match['kind']}/{variable}"


def caffe_name(name: str, depth: int) -> str:
    """Caffe's layer and number of the blob, `scale2a_branch2a/0`, for our `conv2_block1_1_bn/gamma`.

    The blocks of a stage are 3a, 3b, 3c, …; in conv3_x and conv4_x of more than 50 layers 3a, 3b1, 3b2, ….
    """
    layer, variable = name.split("/")
    kind, blob = BLOBS[variable]
    if match := LAYER.fullmatch(layer):
        stage, block, number = (int(match[group]) for group in ("stage", "block", "number"))
        numbered = block > 1 and depth > 50 and stage in (3, 4)
        letter = f"b{block - 1}" if numbered else chr(ord("a") + block - 1)
        return f"{kind}{stage}{letter}_branch{('1', '2a', '2b', '2c')[number]}/{blob}"
    if layer == "predictions":
        return f"fc1000/{blob}"
    return f"conv1/{blob}" if kind == "res" else f"{kind}_conv1/{blob}"


BLOBS = {
    "kernel": ("res", 0),
    "bias": ("res", 1),
    "moving_mean": ("bn", 0),
    "moving_variance": ("bn", 1),
    "factor": ("bn", 2),
    "gamma": ("scale", 0),
    "beta": ("scale", 1),
}
"""The kind of layer, and the number of the blob in it, that have a variable of ours."""


@dataclass(frozen=True)
class Layout:
    """The names and the networks of a package.

    Args:
        family: `"imagenet"` or `"cifar"`.
        preprocessing: Convention of its images, a key of `preprocessing.PREPROCESSING`.
        options: Arguments of the builder without which the same weights would mean something else.
        name_of: Function from the name of a variable of ours and the depth of the network to the package's name.
        marks: Names by which weights are recognized as the package's.
        block: Pattern of the name of each block's first kernel; its group is the number of the stage.
        fold: Function from the package's arrays, under our names and in Keras's order of axes, to ours.
        unfold: The inverse; None where weights are only read.
        shortcuts: The options that its networks have.
        outputs_first: Whether kernels have the axes (outputs, inputs, height, width).
        extras: Kind of layer -> the variable that each has there beside ours. A convolution may always have a bias.
        centered: Whether option A puts the new channels on both sides of the old ones, and not after them.
    """

    family: str
    preprocessing: str
    options: dict[str, Any]
    name_of: Callable[[str, int], str]
    marks: tuple[str, ...]
    block: re.Pattern[str]
    fold: Verb = verbs.fold
    unfold: Verb | None = verbs.unfold
    shortcuts: tuple[Shortcut, ...] = ("B", "C")
    outputs_first: bool = False
    extras: dict[str, str] = field(default_factory=dict)
    centered: bool = False


LATE = {"pool_padding": "symmetric", "bottleneck_stride": "3x3", "preactivation": False}
"""The networks of torchvision and of KerasHub."""
EARLY = {"bottleneck_stride": "1x1", "preactivation": False}
"""Those of the paper's release."""
KERAS_EPSILON, TORCH_BLOCK = 1.001e-5, re.compile(r"layer(\d+)\.\d+\.conv1\.weight")

LAYOUTS: dict[str, Layout] = {
    "torchvision": Layout(
        "imagenet",
        "torch",
        LATE,
        partial(torch_name, classifier="fc", shortcut=("downsample.0", "downsample.1")),
        marks=("conv1.weight", "bn1.weight", "layer4.0.conv1.weight"),
        block=TORCH_BLOCK,
        outputs_first=True,
    ),
    "akamaster": Layout(
        "cifar",
        "torch",
        {"preactivation": False},
        partial(torch_name, classifier="linear", shortcut=("shortcut.0", "shortcut.1")),
        marks=("conv1.weight", "bn1.weight", "layer3.0.conv1.weight"),  # torchvision's, tried before, have a layer4
        block=TORCH_BLOCK,
        shortcuts=("A", "B"),
        outputs_first=True,
        centered=True,
    ),
    "keras": Layout(
        "imagenet",
        "caffe",
        EARLY | {"pool_padding": "symmetric"},
        same_name,
        marks=("conv1_conv/bias", "conv1_bn/gamma", "conv5_block1_1_conv/kernel"),
        block=re.compile(r"conv(\d+)_block\d+_1_conv/kernel"),
        fold=partial(verbs.fold, epsilon=KERAS_EPSILON),
        unfold=partial(verbs.unfold, epsilon=KERAS_EPSILON, biases=True),
        extras={"convolution": "bias"},
    ),
    "keras_v2": Layout(
        "imagenet",
        "tf",
        {name: keras_v2.OPTIONS[name] for name in ("bottleneck_stride", "preactivation", "pool_padding")},
        same_name,
        marks=("conv1_conv/bias", "conv2_block1_preact_bn/gamma", "post_bn/gamma"),
        block=re.compile(r"conv(\d+)_block\d+_1_conv/kernel"),
        fold=keras_v2.to_ours,
        unfold=keras_v2.to_theirs,
        shortcuts=("B",),
    ),
    "keras_hub": Layout(
        "imagenet",
        "torch",
        LATE,
        hub_name,
        marks=("conv1_conv/kernel", "conv1_bn/gamma", "stack3_block0_1_conv/kernel"),
        block=re.compile(r"stack(\d+)_block\d+_1_conv/kernel"),
    ),
    "caffe": Layout(
        "imagenet",
        "caffe",
        EARLY | {"pool_padding": "same"},
        caffe_name,
        marks=("conv1/0", "bn_conv1/0", "res5a_branch2a/0"),
        block=re.compile(r"res(\d)\w+_branch2a/0"),
        unfold=None,
        outputs_first=True,
        extras={"batch_normalization": "factor"},
    ),
}
"""Layouts by the name of the package: torchvision, whose names and networks timm has too; the widely used
pytorch_resnet_cifar10 of akamaster; keras.applications, the second version of its networks, and KerasHub, whose
published weights for its ResNets are timm's; and the release of the paper's authors for Caffe, whose mean image is
taken for the mean of its pixels."""


def detect(names: Collection[str]) -> str:
    """The layout whose names a state dict has.

    Raises:
        ValueError: if there is none.
    """
    for name, layout in LAYOUTS.items():
        if set(layout.marks) <= set(names):
            return name
    shown = ", ".join(list(names)[:3]) or "nothing"
    raise ValueError(f"The weights must have the names of one of {', '.join(LAYOUTS)}. Received: {shown}, …")
