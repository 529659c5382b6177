"""Print the paper's tables of architectures, with the exact size of each network.

python recipes/summarize.py                                the networks of Table 1
python recipes/summarize.py 34 --shortcut A B C plain      the shortcuts of Table 3
python recipes/summarize.py 20 32 44 56 110 1202           the networks of Table 6
python recipes/summarize.py 50 --no-built                  the arithmetic alone, at once

Sizes come from arithmetic. Below them stand the weights of the network that Keras builds, and whether they are equal.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace

from keras_resnet.facts import architectures
from keras_resnet.facts.architectures import Architecture, BottleneckStride, Counts
from keras_resnet.reporting.architecture_table import Column, table

SHORTCUTS = {str(shortcut or "plain"): shortcut for shortcut in architectures.SHORTCUTS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables. Returns the exit code: 1 if a built network differs from the arithmetic, 2 for a wrong depth.

    Args:
        arguments: The words of the command line; those of this process if not given.
    """
    options = parser().parse_args(arguments)
    try:
        columns = networks(options.depths, options.shortcut, options.bottleneck_stride)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.built:
        columns = [replace(column, built=built_counts(column)) for column in columns]
    families = [[c for c in columns if c.architecture.stem.pool is pool] for pool in (True, False)]
    print("\n\n".join(table(family) for family in families if family))
    return 0 if all(column.agrees for column in columns) else 1


def parser() -> argparse.ArgumentParser:
    """The command line."""
    first, _, rest = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "depths",
        nargs="*",
        type=int,
        metavar="DEPTH",
        default=list(architectures.IMAGENET),
        help="18, 34, 50, 101 or 152 (ImageNet), or 6n+2 (CIFAR); all of ImageNet if none is given",
    )
    parser.add_argument(
        "--shortcut",
        nargs="+",
        choices=SHORTCUTS,
        help="shortcuts to print, one column each; B for ImageNet and A for CIFAR if none is given",
    )
    parser.add_argument(
        "--bottleneck-stride",
        choices=architectures.BOTTLENECK_STRIDES,
        default="1x1",
        help='the convolution of a bottleneck that has the stride: "3x3" is known as v1.5 (default: %(default)s)',
    )
    parser.add_argument(
        "--built",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="build each network in Keras as well and compare (default: --built)",
    )
    return parser


def networks(
    depths: Sequence[int], shortcuts: Sequence[str] | None, bottleneck_stride: BottleneckStride
) -> list[Column]:
    """A column for each depth and shortcut."""
    columns = []
    for depth in depths:
        network = architecture(depth)
        for shortcut in shortcuts or ("B" if network.stem.pool else "A"):
            columns.append(Column(network, SHORTCUTS[shortcut], bottleneck_stride))
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
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from keras_resnet.models.resnet import CifarResNet, ResNet

    depth, shortcut = column.architecture.depth, column.shortcut
    if column.architecture.stem.pool:
        model = ResNet(depth=depth, shortcut=shortcut, bottleneck_stride=column.bottleneck_stride, weights=None)
    else:
        model = CifarResNet(depth=depth, shortcut=shortcut, weights=None)
    trainable, total = (sum(weight.numpy().size for weight in w) for w in (model.trainable_weights, model.weights))
    return Counts(trainable, total - trainable, 0)


if __name__ == "__main__":
    sys.exit(main())
