"""What decides the meaning of a network's weights: two networks of one form take the same files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras_resnet.facts import architectures
from keras_resnet.facts.architectures import Architecture, Block, BottleneckStride, Shortcut


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
        channels: Of the images.
    """

    family: str
    depth: int
    shortcut: Shortcut
    block: Block
    bottleneck_stride: BottleneckStride = "1x1"
    preactivation: bool | str = False
    pool_padding: str = "same"
    classes: int | None = None
    channels: int = 3

    @property
    def architecture(self) -> Architecture:
        """The plan of the network.

        Raises:
            ValueError: if there is no such depth.
        """
        return architectures.of(self.family, self.depth, self.block)

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
