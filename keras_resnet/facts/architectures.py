"""The networks of the paper as data, and their exact arithmetic.

One `Architecture` is one column of Table 1, or one CIFAR network of Section 4.2. `layers` walks it layer by layer and
knows every shape, so the number of weights and of multiply-adds follow by addition, without a framework. The builders
in `models.resnet` walk the same blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

Block = Literal["basic", "bottleneck"]
Shortcut = Literal["A", "B", "C"] | None
BottleneckStride = Literal["1x1", "3x3"]
Preactivation = bool | Literal["slim"]

BLOCKS: tuple[str, ...] = get_args(Block)
SHORTCUTS: tuple[str | None, ...] = ("A", "B", "C", None)
BOTTLENECK_STRIDES: tuple[str, ...] = get_args(BottleneckStride)
PREACTIVATIONS: tuple[bool | str, ...] = (False, True, "slim")

EXPANSION = {"basic": 1, "bottleneck": 4}
"""Output channels of a block over the channels of its 3x3 convolution (Figure 5)."""


def convolutions(
    block: Block, filters: int, strides: int, bottleneck_stride: BottleneckStride = "1x1"
) -> list[tuple[int, int, int]]:
    """(kernel, strides, filters) of each convolution on a block's main path (Figure 5).

    `bottleneck_stride` says which convolution of a bottleneck has the stride: the first 1x1, or the 3x3.
    """
    if block == "basic":
        return [(3, strides, filters), (3, 1, filters)]
    first, second = (strides, 1) if bottleneck_stride == "1x1" else (1, strides)
    return [(1, first, filters), (3, second, filters), (1, 1, filters * EXPANSION[block])]


@dataclass(frozen=True)
class Stem:
    """What comes before the first block: conv1 and, for ImageNet, the 3x3 max-pool with stride 2."""

    kernel: int
    strides: int
    filters: int
    pool: bool


@dataclass(frozen=True)
class BlockPlan:
    """One block of a stage: `conv{stage}_block{index}`."""

    stage: int
    index: int
    strides: int
    in_filters: int
    filters: int
    """Channels of the 3x3 convolutions."""
    out_filters: int

    @property
    def name(self) -> str:
        return f"conv{self.stage}_block{self.index}"

    @property
    def changes_channels(self) -> bool:
        """Whether the output has other channels than the input, so that option B projects."""
        return self.in_filters != self.out_filters


@dataclass(frozen=True)
class Architecture:
    """A column of Table 1: the stem, the kind of block, and blocks and filters of each stage."""

    depth: int
    stem: Stem
    block: Block
    blocks: tuple[int, ...]
    filters: tuple[int, ...]
    image_size: int
    classes: int

    @property
    def out_filters(self) -> int:
        """Channels of the last feature map."""
        return self.filters[-1] * EXPANSION[self.block]

    @property
    def stem_strides(self) -> int:
        """Input pixels per position of the first stage's map, along one axis."""
        return self.stem.strides * (2 if self.stem.pool else 1)

    @property
    def strides(self) -> int:
        """Input pixels per position of the last feature map, along one axis; also the smallest input."""
        return int(self.stem_strides * 2 ** (len(self.blocks) - 1))

    def plan(self, preactivation: Preactivation = False) -> Iterator[BlockPlan]:
        """Every block, from the input to the output.

        The first block of a stage has the stride; with `preactivation="slim"`, the last block of the stage before.
        """
        in_filters = self.stem.filters
        last_stage = len(self.blocks) + 1
        for stage, (blocks, filters) in enumerate(zip(self.blocks, self.filters, strict=True), start=2):
            out_filters = filters * EXPANSION[self.block]
            for index in range(1, blocks + 1):
                late = index == blocks and stage < last_stage
                early = index == 1 and stage > 2
                strides = 2 if (late if preactivation == "slim" else early) else 1
                yield BlockPlan(stage, index, strides, in_filters, filters, out_filters)
                in_filters = out_filters


IMAGENET_STEM = Stem(kernel=7, strides=2, filters=64, pool=True)
CIFAR_STEM = Stem(kernel=3, strides=1, filters=16, pool=False)

IMAGENET: dict[int, tuple[Block, tuple[int, ...]]] = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}
"""Table 1: the kind of block and the number of blocks in conv2_x to conv5_x, by depth."""


def imagenet(depth: int) -> Architecture:
    """The ImageNet network of a depth (Table 1).

    Raises:
        ValueError: if `depth` is no column of Table 1.
    """
    if not isinstance(depth, int) or depth not in IMAGENET:
        raise ValueError(f"`depth` must be one of {', '.join(map(str, IMAGENET))}. Received: depth={depth!r}")
    block, blocks = IMAGENET[depth]
    return Architecture(depth, IMAGENET_STEM, block, blocks, (64, 128, 256, 512), image_size=224, classes=1000)


CIFAR_LAYERS_PER_N = {"basic": 6, "bottleneck": 9}
"""Weighted layers that a CIFAR network gains for each additional block in its three stages."""


def cifar(depth: int, block: Block = "basic") -> Architecture:
    """The CIFAR network of a depth: 6n+2 with basic blocks (Section 4.2), 9n+2 with bottlenecks (He et al., 2016).

    Raises:
        ValueError: if `depth` has no such n, or `block` is unknown.
    """
    if block not in BLOCKS:
        raise ValueError(f"`block` must be one of {', '.join(BLOCKS)}. Received: block={block!r}")
    per_n = CIFAR_LAYERS_PER_N[block]
    n, rest = divmod(depth - 2, per_n) if isinstance(depth, int) else (0, 1)
    if n < 1 or rest:
        examples = {"basic": "20, 32, 44, 56, 110, 1202", "bottleneck": "29, 47, 164, 1001"}[block]
        raise ValueError(f"`depth` must be {per_n}n+2 ({examples}, …) with {block} blocks. Received: depth={depth!r}")
    return Architecture(depth, CIFAR_STEM, block, (n, n, n), (16, 32, 64), image_size=32, classes=10)


def of(family: str, depth: int, block: Block) -> Architecture:
    """The network of a family, `"imagenet"` or `"cifar"`; the block of the former follows from its depth.

    Raises:
        ValueError: if there is no such depth.
    """
    return imagenet(depth) if family == "imagenet" else cifar(depth, block)


@dataclass(frozen=True)
class Layer:
    """A layer that has weights: a convolution, a batch normalization, or the classifier.

    `height` and `width` are those of the output.
    """

    name: str
    kind: Literal["convolution", "batch_normalization", "dense"]
    in_filters: int
    filters: int
    kernel: int = 1
    height: int = 1
    width: int = 1
    shortcut: bool = False
    bias: bool = False

    @property
    def trainable(self) -> int:
        """Trainable weights: kernels and biases; gamma and beta."""
        if self.kind == "batch_normalization":
            return 2 * self.filters
        return (self.kernel**2 * self.in_filters + self.bias) * self.filters

    @property
    def non_trainable(self) -> int:
        """Moving means and variances of batch normalization."""
        return 2 * self.filters if self.kind == "batch_normalization" else 0

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one image, the paper's "FLOPs".

        Taps on zero padding count; batch normalization and biases do not.
        """
        match self.kind:
            case "convolution":
                return self.height * self.width * self.kernel**2 * self.in_filters * self.filters
            case "batch_normalization":
                return 0
            case "dense":
                return self.in_filters * self.filters


def layers(
    architecture: Architecture,
    *,
    shortcut: Shortcut = "B",
    bottleneck_stride: BottleneckStride = "1x1",
    preactivation: Preactivation = False,
    input_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
) -> Iterator[Layer]:
    """Every layer with weights, from the input to the classifier, under the names that the built network gives them.

    Args:
        architecture: The network.
        shortcut: `"A"`, `"B"`, `"C"`, or `None` for the plain network.
        bottleneck_stride: The convolution of a bottleneck that has the stride.
        preactivation: Batch normalization and ReLU before each convolution (He et al., 2016). With `"slim"`, the stride
            of a stage is in the last block of the stage before, and the first convolution has a bias.
        input_shape: (height, width, channels). Defaults to the architecture's image size and 3 channels.
        classes: Outputs of the classifier. Defaults to the architecture's.
    """
    stem = architecture.stem
    height, width, channels = input_shape or (architecture.image_size, architecture.image_size, 3)

    def shrink(strides: int) -> None:
        nonlocal height, width
        height, width = -(-height // strides), -(-width // strides)

    def convolution(name: str, kernel: int, in_filters: int, filters: int, **more: bool) -> Layer:
        return Layer(f"{name}_conv", "convolution", in_filters, filters, kernel, height, width, **more)

    def normalization(name: str, filters: int, shortcut: bool = False) -> Layer:
        return Layer(f"{name}_bn", "batch_normalization", filters, filters, 1, height, width, shortcut)

    shrink(stem.strides)
    yield convolution("conv1", stem.kernel, channels, stem.filters, bias=preactivation == "slim")
    if not preactivation:
        yield normalization("conv1", stem.filters)
    if stem.pool:
        shrink(2)
    for block in architecture.plan(preactivation):
        if preactivation:
            yield normalization(f"{block.name}_preact", block.in_filters)
        path = convolutions(architecture.block, block.filters, block.strides, bottleneck_stride)
        in_filters = block.in_filters
        for k, (kernel, strides, filters) in enumerate(path, start=1):
            shrink(strides)
            yield convolution(f"{block.name}_{k}", kernel, in_filters, filters)
            if not (preactivation and k == len(path)):
                yield normalization(f"{block.name}_{k}", filters)
            in_filters = filters
        if shortcut == "C" or (shortcut == "B" and block.changes_channels):
            yield convolution(f"{block.name}_0", 1, block.in_filters, block.out_filters, shortcut=True)
            if not preactivation:
                yield normalization(f"{block.name}_0", block.out_filters, shortcut=True)
    if preactivation:
        yield normalization("post", architecture.out_filters)
    yield Layer("predictions", "dense", architecture.out_filters, classes or architecture.classes, bias=True)


@dataclass(frozen=True)
class Counts:
    """The size of a network: weights that are trained, batch statistics, and multiply-adds for one image."""

    trainable: int
    non_trainable: int
    multiply_adds: int

    @property
    def total(self) -> int:
        """What Keras calls "Total params"."""
        return self.trainable + self.non_trainable


def count(architecture: Architecture, **options: Any) -> Counts:
    """The exact size of a network; takes the options of `layers`."""
    every = list(layers(architecture, **options))
    return Counts(
        sum(layer.trainable for layer in every),
        sum(layer.non_trainable for layer in every),
        sum(layer.multiply_adds for layer in every),
    )
