"""Print the paper's tables of architectures, with the exact size of each network.

    python recipes/summarize.py                                the networks of Table 1
    python recipes/summarize.py 34 --shortcut A B C None       the shortcuts of Table 3; None is the plain network
    python recipes/summarize.py 20 32 44 56 110 1202           the networks of Table 6
    python recipes/summarize.py 50 --no-built                  the arithmetic alone, at once

Sizes come from arithmetic. Below them stand the weights of the network that Keras builds, and whether they are equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from tyro.conf import Positional, arg

from cli import command_line, program, startup
from cli.options import Options as AnyOptions
from keras_resnet.facts import architectures
from keras_resnet.facts.architectures import Architecture, BottleneckStride, Counts, Shortcut
from keras_resnet.reporting.architecture_table import Column, table


@dataclass(frozen=True, kw_only=True)
class Options(AnyOptions):
    """Options of this program."""

    depths: Annotated[Positional[tuple[int, ...]], arg(metavar="[DEPTH …]")] = tuple(architectures.IMAGENET)
    """18, 34, 50, 101 or 152 (ImageNet), or 6n+2 (CIFAR)."""
    shortcut: tuple[Shortcut, ...] = ()
    """Shortcuts to print, a column each; B for ImageNet and A for CIFAR if none is given."""
    bottleneck_stride: BottleneckStride = "1x1"
    """The convolution of a bottleneck that has the stride: 3x3 is known as v1.5."""
    built: bool = True
    """Build each network in Keras as well and compare."""


FLAGS = command_line.flags_by_argument(Options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables; returns the exit status: 1 if a built network differs from the arithmetic."""
    return program.answer(summarize, command_line.read(Options, __doc__, arguments), flags=FLAGS)


def summarize(options: Options) -> int:
    """Prints the tables.

    Raises:
        ValueError: if a depth does not exist.
    """
    columns = networks(options.depths, options.shortcut, options.bottleneck_stride)
    if options.built:
        columns = [replace(column, built=built_counts(column)) for column in columns]
    families = [[c for c in columns if c.architecture.stem.pool is pool] for pool in (True, False)]
    print("\n\n".join(table(family) for family in families if family))
    return 0 if all(column.agrees for column in columns) else 1


def networks(depths: Sequence[int], shortcuts: Sequence[Shortcut], bottleneck_stride: BottleneckStride) -> list[Column]:
    """A column for each depth and shortcut."""
    columns = []
    for depth in depths:
        network = architecture(depth)
        for shortcut in shortcuts or ("B" if network.stem.pool else "A"):
            columns.append(Column(network, shortcut, bottleneck_stride))
    return columns


def architecture(depth: int) -> Architecture:
    """The ImageNet network of a depth, or else the CIFAR one.

    50 and 152 are 6n+2 as well; they mean the networks of Table 1.

    Raises:
        ValueError: if there is neither.
    """
    try:
        return architectures.imagenet(depth) if depth in architectures.IMAGENET else architectures.cifar(depth)
    except ValueError as error:
        imagenet = ", ".join(map(str, architectures.IMAGENET))
        raise ValueError(
            f"`depth` must be one of {imagenet} (ImageNet) or 6n+2 (CIFAR: 20, 32, 44, 56, 110, 1202, …). "
            f"Received: depth={depth!r}"
        ) from error


def built_counts(column: Column) -> Counts:
    """The weights of the network as Keras builds it. Models do not know their multiply-adds; they are 0 here."""
    with startup.loading():
        from keras_resnet.models.resnet import CifarResNet, ResNet

    depth, shortcut = column.architecture.depth, column.shortcut
    if column.architecture.stem.pool:
        model = ResNet(depth=depth, shortcut=shortcut, bottleneck_stride=column.bottleneck_stride, weights=None)
    else:
        model = CifarResNet(depth=depth, shortcut=shortcut, weights=None)
    trainable, total = (sum(weight.numpy().size for weight in w) for w in (model.trainable_weights, model.weights))
    return Counts(trainable, total - trainable, 0)


if __name__ == "__main__":
    program.run(main)
