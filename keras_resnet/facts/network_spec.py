"""Specification of a network: two networks of one specification take the same files of weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from keras_resnet.facts import architectures
from keras_resnet.facts.architectures import Architecture, Block, BottleneckStride, Preactivation, Shortcut

PoolPadding = Literal["same", "symmetric"]

SHAPELESS = ("shortcut", "bottleneck_stride", "preactivation", "pool_padding")
"""Arguments in which two networks of the same shapes can differ."""


@dataclass(frozen=True)
class NetworkSpec:
    """A network without the values of its weights and without the size of its images.

    Args:
        family: `"imagenet"` (Table 1) or `"cifar"` (Section 4.2).
        depth: Weighted layers.
        shortcut: `"A"`, `"B"`, `"C"`, or None: the plain network.
        block: `"basic"` or `"bottleneck"`.
        bottleneck_stride: The convolution of a bottleneck that has the stride; `"1x1"` with basic blocks.
        preactivation: As in `ResNet`.
        pool_padding: As in `ResNet`; `"same"` where there is no pool.
        classes: Outputs of the classifier; None without it.
        channels: Channels of the images.
    """

    family: str
    depth: int
    shortcut: Shortcut
    block: Block
    bottleneck_stride: BottleneckStride = "1x1"
    preactivation: Preactivation = False
    pool_padding: PoolPadding = "same"
    classes: int | None = None
    channels: int = 3

    @property
    def architecture(self) -> Architecture:
        """The column of Table 1, or the CIFAR network.

        Raises:
            ValueError: if there is no such depth.
        """
        return architectures.of(self.family, self.depth, self.block)

    @property
    def matters(self) -> tuple[str, ...]:
        """The arguments of `SHAPELESS` that make a difference in such a network."""
        without = {"bottleneck_stride"} if self.block == "basic" else set()
        return tuple(
            name for name in SHAPELESS if name not in without | ({"pool_padding"} if self.family == "cifar" else set())
        )

    @property
    def options(self) -> dict[str, Any]:
        """The arguments by keyword with which the family's builder makes such a network, `depth` among them."""
        named = {name: getattr(self, name) for name in ("depth", "shortcut", "bottleneck_stride", "preactivation")}
        own = {"pool_padding": self.pool_padding} if self.family == "imagenet" else {"block": self.block}
        return (
            named
            | own
            | {"include_top": self.classes is not None}
            | ({"classes": self.classes} if self.classes else {})
        )


def check_spec(spec: NetworkSpec, allowed: Mapping[str, Collection[Any]], whose: str, received: str = "") -> None:
    """Refuses a network in which the same weights would mean something else, though every shape may fit.

    Args:
        spec: Specification of the network.
        allowed: By argument of its builder, the values that do not change the meaning of the weights.
        whose: What has these values, for the error: "the networks of torchvision".
        received: What was received beside the argument, for the error.

    Raises:
        ValueError: naming the first argument that has another value.
    """
    for argument, values in allowed.items():
        if (value := getattr(spec, argument)) not in values:
            rule = " or ".join(map(repr, values))
            raise ValueError(f"`{argument}` must be {rule}, as in {whose}. Received: {argument}={value!r}{received}")
