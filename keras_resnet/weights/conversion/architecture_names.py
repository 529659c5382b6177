"""The names by which programs call the networks that they train: the residual networks of the paper, and others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

PLAIN = re.compile(r"((tv|gluon|ssl|swsl|cifar)[-_]?)?resnet[-_]?\d+(_v1b)?(\..*)?", re.IGNORECASE)
"""Names of the paper's networks, with or without timm's tag of the weights behind a dot."""

DEPTH = re.compile(r"resnet[-_]?(\d+)", re.IGNORECASE)
"""The depth in such a name."""

HARMLESS = {
    "zero_init_last",
    "zero_init_residual",
    "drop_rate",
    "drop_path_rate",
    "num_classes",
    "in_chans",
    "pretrained",
}
"""Arguments of a network that do not change what trained weights compute."""


def check(name: str, options: Mapping[str, Any], remedy: str) -> None:
    """Refuses weights that a program says are of another residual network.

    Networks with an anti-aliased pool, with average pooling in place of strides, or with dilation have the very names
    and shapes: in timm `resnetblur18`, `resnetblur50` and `resnetaa50`.

    Args:
        name: What the program called the network; empty if it said nothing.
        options: The arguments that it gave to the network beside.
        remedy: The way out, for the error.

    Raises:
        ValueError: naming the network or the argument.
    """
    if re.search(r"res_?net", name, re.IGNORECASE) and not PLAIN.fullmatch(name):
        raise ValueError(
            f"The weights must be of a network of the paper. Their file says that they are of {name!r}, which may "
            f"compute otherwise with the same names and shapes. {remedy}"
        )
    if others := [option for option, value in options.items() if option not in HARMLESS and value not in (None, False)]:
        raise ValueError(
            f"The weights must be of a network of the paper. Their file says that {name or 'their network'} was built "
            f"with {', '.join(f'{option}={options[option]!r}' for option in others)}. {remedy}"
        )


def check_depth(name: str, depth: int, remedy: str) -> None:
    """Refuses weights of another depth than a program says.

    Args:
        name: What the program called the network; empty if it said nothing.
        depth: Of the network that the weights belong to.
        remedy: The way out, for the error.

    Raises:
        ValueError: naming both depths.
    """
    said = DEPTH.search(name)
    if said and int(said[1]) != depth:
        raise ValueError(f"The weights are of ResNet-{depth}, and their file says that they are of {name!r}. {remedy}")
