"""What the paper prints, as data: its tables, its training protocols, and what its figures draw.

Errors are in percent, as printed. `None` stands where the paper prints nothing. Values that can only be read off a
curve are left out.

Reference:
    He et al., 2015: "Deep Residual Learning for Image Recognition".
    He, 2016: README of deep-residual-networks, the authors' release.
"""

from __future__ import annotations

from dataclasses import dataclass

MULTIPLY_ADDS = {18: 1.8e9, 34: 3.6e9, 50: 3.8e9, 101: 7.6e9, 152: 11.3e9}
"""Table 1: "FLOPs" by depth, in multiply-adds for one 224x224 image. The 3.8 of 50 layers is 3.858 cut, not rounded."""


@dataclass(frozen=True)
class Result:
    """One row of a table: a network and its errors in percent.

    `depth` and `shortcut` (`None`: the plain network) say which of our networks it is; other people's have no depth.
    """

    name: str
    top1: float | None
    top5: float | None = None
    depth: int | None = None
    shortcut: str | None = None
    parameters: float | None = None


@dataclass(frozen=True)
class Table:
    """A table of results. `split` are the images and `view` what of each the network saw."""

    number: int
    caption: str
    split: str
    view: str
    rows: tuple[Result, ...]


TABLE_2 = Table(
    number=2,
    caption="plain and residual networks on ImageNet; the shortcuts add no parameters",
    split="ImageNet validation",
    view="10-crop",
    rows=(
        Result("plain-18", 27.94, depth=18),
        Result("ResNet-18", 27.88, depth=18, shortcut="A"),
        Result("plain-34", 28.54, depth=34),
        Result("ResNet-34", 25.03, depth=34, shortcut="A"),
    ),
)

TABLE_3 = Table(
    number=3,
    caption="shortcuts and depths on ImageNet",
    split="ImageNet validation",
    view="10-crop",
    rows=(
        Result("VGG-16", 28.07, 9.33),
        Result("GoogLeNet", None, 9.15),
        Result("PReLU-net", 24.27, 7.38),
        Result("plain-34", 28.54, 10.02, depth=34),
        Result("ResNet-34 A", 25.03, 7.76, depth=34, shortcut="A"),
        Result("ResNet-34 B", 24.52, 7.46, depth=34, shortcut="B"),
        Result("ResNet-34 C", 24.19, 7.40, depth=34, shortcut="C"),
        Result("ResNet-50", 22.85, 6.71, depth=50, shortcut="B"),
        Result("ResNet-101", 21.75, 6.05, depth=101, shortcut="B"),
        Result("ResNet-152", 21.43, 5.71, depth=152, shortcut="B"),
    ),
)

TABLE_4 = Table(
    number=4,
    caption="single models on ImageNet",
    split="ImageNet validation",
    view="multi-scale",
    rows=(
        Result("VGG (ILSVRC'14)", None, 8.43),  # on the test images
        Result("GoogLeNet (ILSVRC'14)", None, 7.89),
        Result("VGG (v5)", 24.4, 7.1),
        Result("PReLU-net", 21.59, 5.71),
        Result("BN-inception", 21.99, 5.81),
        Result("ResNet-34 B", 21.84, 5.71, depth=34, shortcut="B"),
        Result("ResNet-34 C", 21.53, 5.60, depth=34, shortcut="C"),
        Result("ResNet-50", 20.74, 5.25, depth=50, shortcut="B"),
        Result("ResNet-101", 19.87, 4.60, depth=101, shortcut="B"),
        Result("ResNet-152", 19.38, 4.49, depth=152, shortcut="B"),
    ),
)

TABLE_5 = Table(
    number=5,
    caption="ensembles on ImageNet",
    split="ImageNet test",
    view="multi-scale",
    rows=(
        Result("VGG (ILSVRC'14)", None, 7.32),
        Result("GoogLeNet (ILSVRC'14)", None, 6.66),
        Result("VGG (v5)", None, 6.8),
        Result("PReLU-net", None, 4.94),
        Result("BN-inception", None, 4.82),
        Result("ResNet (ILSVRC'15)", None, 3.57),  # six models of different depths
    ),
)

TABLE_6 = Table(
    number=6,
    caption="CIFAR-10 with augmentation",
    split="CIFAR-10 test",
    view="whole image",
    rows=(
        Result("Maxout", 9.38),
        Result("NIN", 8.81),
        Result("DSN", 8.22),
        Result("FitNet-19", 8.39, parameters=2.5e6),
        Result("Highway-19", 7.54, parameters=2.3e6),
        Result("Highway-32", 8.80, parameters=1.25e6),
        Result("ResNet-20", 8.75, depth=20, shortcut="A", parameters=0.27e6),
        Result("ResNet-32", 7.51, depth=32, shortcut="A", parameters=0.46e6),
        Result("ResNet-44", 7.17, depth=44, shortcut="A", parameters=0.66e6),
        Result("ResNet-56", 6.97, depth=56, shortcut="A", parameters=0.85e6),
        Result("ResNet-110", 6.43, depth=110, shortcut="A", parameters=1.7e6),  # the best of five runs
        Result("ResNet-1202", 7.93, depth=1202, shortcut="A", parameters=19.4e6),
    ),
)

TABLES = {table.number: table for table in (TABLE_2, TABLE_3, TABLE_4, TABLE_5, TABLE_6)}

RESNET_110_RUNS = (6.61, 0.16)
"""Table 6: mean and standard deviation of the test error of ResNet-110 over five runs."""

CENTER_CROP = Table(
    number=0,
    caption="the released models on ImageNet (He, 2016, README of deep-residual-networks)",
    split="ImageNet validation",
    view="center crop",
    rows=(
        Result("ResNet-50", 24.7, 7.8, depth=50, shortcut="B"),
        Result("ResNet-101", 23.6, 7.1, depth=101, shortcut="B"),
        Result("ResNet-152", 23.0, 6.7, depth=152, shortcut="B"),
    ),
)
"""No table of the paper, which prints no center-crop errors."""

TEST_SCALES = (224, 256, 384, 480, 640)
"""Section 3.4: the shorter sides, in pixels, whose scores the multi-scale view averages."""


@dataclass(frozen=True)
class Protocol:
    """How the networks were trained: SGD with momentum, and the learning rate divided by ten at each boundary.

    `boundaries` counts iterations; `None` stands for "when the error plateaus".
    """

    global_batch_size: int
    learning_rate: float
    iterations: int
    boundaries: tuple[int, ...] | None
    momentum: float = 0.9
    weight_decay: float = 1e-4


IMAGENET_PROTOCOL = Protocol(256, 0.1, iterations=600_000, boundaries=None)
"""Section 3.4."""

CIFAR_PROTOCOL = Protocol(128, 0.1, iterations=64_000, boundaries=(32_000, 48_000))
"""Section 4.2."""

CIFAR_HOLDOUT = 5_000
"""Section 4.2: the training images on which the schedule was chosen; 45,000 remain."""

GATE_LEARNING_RATE, GATE_ERROR = 0.01, 80.0
"""Section 4.2: ResNet-110 starts with this learning rate until its training error in percent is below this error, which
takes about 400 iterations."""


@dataclass(frozen=True)
class Figure:
    """What a figure with measurements draws, as (depth, shortcut) of its networks and in words."""

    number: int
    networks: tuple[tuple[int, str | None], ...]
    draws: str


_PLAIN_CIFAR = ((20, None), (32, None), (44, None), (56, None))
_RESIDUAL_CIFAR = ((20, "A"), (32, "A"), (44, "A"), (56, "A"), (110, "A"))

FIGURES = {
    figure.number: figure
    for figure in (
        Figure(1, ((20, None), (56, None)), "training and test error on CIFAR-10 over the iterations"),
        Figure(
            4,
            ((18, None), (34, None), (18, "A"), (34, "A")),
            "training error (thin) and center-crop validation error (bold) on ImageNet over the iterations",
        ),
        Figure(
            6,
            (*_PLAIN_CIFAR, *_RESIDUAL_CIFAR, (1202, "A")),
            "training error (dashed) and test error (bold) on CIFAR-10 over the iterations; "
            "plain-110 is above 60% and not drawn",
        ),
        Figure(
            7,
            ((20, None), (56, None), (20, "A"), (56, "A"), (110, "A")),
            "standard deviation of the response of each 3x3 layer on CIFAR-10, after batch normalization and before "
            "the nonlinearity and the addition; in the order of the layers, and sorted",
        ),
    )
}
