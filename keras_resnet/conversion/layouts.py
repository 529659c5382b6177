"""How other packages call the layers of a residual network, and where their networks differ from ours."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

LAYER = re.compile(r"conv(?P<stage>\d+)_block(?P<block>\d+)_(?P<number>\d)_(?P<kind>conv|bn)")
STEM = {"conv1_conv": "conv1", "conv1_bn": "bn1"}


@dataclass(frozen=True)
class Layout:
    """A package's names, and the arguments that give its networks.

    Args:
        family: `"imagenet"` or `"cifar"`.
        classifier: Name of the last layer.
        shortcut: Names of a projection's convolution and batch normalization, within its block.
        options: Arguments of the builder without which the same weights would mean something else.
        centred: Whether option A puts the new channels on both sides of the old ones, and not after them.
        mean, deviation: Of the red, green and blue of its inputs, in grey levels of 0 to 255.
    """

    family: str
    classifier: str
    shortcut: tuple[str, str]
    options: dict[str, str]
    centred: bool
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    deviation: tuple[float, float, float] = (58.395, 57.12, 57.375)

    def name(self, layer: str) -> str | None:
        """What a layer of ours is called there; None if it has no weights in any network of ours."""
        if layer in STEM:
            return STEM[layer]
        if layer == "predictions":
            return self.classifier
        if not (match := LAYER.fullmatch(layer)):
            return None
        number, kind = int(match["number"]), match["kind"]
        own = f"{kind}{number}" if number else self.shortcut[kind == "bn"]
        return f"layer{int(match['stage']) - 1}.{int(match['block']) - 1}.{own}"


LAYOUTS: dict[str, Layout] = {
    "torchvision": Layout(
        "imagenet",
        classifier="fc",
        shortcut=("downsample.0", "downsample.1"),
        options={"pool_padding": "symmetric", "bottleneck_stride": "3x3"},
        centred=False,
    ),
    "akamaster": Layout("cifar", classifier="linear", shortcut=("shortcut.0", "shortcut.1"), options={}, centred=True),
}
"""Layouts by the name of the package: torchvision, whose names and networks timm has too, and the widely used
pytorch_resnet_cifar10 of akamaster."""


def detect(names: Collection[str]) -> str:
    """The layout whose names those of a state are.

    Raises:
        ValueError: if there is none.
    """
    for layout, facts in LAYOUTS.items():
        if {"conv1.weight", "layer1.0.conv1.weight", f"{facts.classifier}.weight"} <= set(names):
            return layout
    shown = ", ".join(list(names)[:3]) or "nothing"
    raise ValueError(f"The weights must have the names of one of {', '.join(LAYOUTS)}. Received: {shown}, …")
