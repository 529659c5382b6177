"""Recognition of the network that weights belong to, by names and shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_resnet.facts.architectures import CIFAR_LAYERS_PER_N, IMAGENET, Architecture, Block, Shortcut
from keras_resnet.facts.network_spec import NetworkSpec
from keras_resnet.weights.conversion.layouts import LAYOUTS, Layout

AXES = {4: (2, 3, 1, 0), 2: (1, 0)}
"""From kernels with the outputs first to those of Keras, by the number of axes."""


def identify(state_dict: Mapping[str, np.ndarray], layout: str) -> NetworkSpec:
    """The specification of the network that a package's weights belong to, from their names and shapes.

    Args:
        state_dict: Arrays by the package's names; see `read_state_dict`.
        layout: A key of `LAYOUTS`; see `detect`.

    Raises:
        ValueError: if there is no such network, with the blocks or projections that the weights have.
    """
    facts = LAYOUTS[layout]
    block: Block = "bottleneck" if facts.name_of("conv2_block1_3_conv/kernel", 0) in state_dict else "basic"
    stages = Counter(int(match[1]) for name in state_dict if (match := facts.block.fullmatch(name)))
    depth = _depth(facts.family, block, tuple(number for _, number in sorted(stages.items())))
    architecture = NetworkSpec(facts.family, depth, None, block).architecture
    channels = _channels(facts, state_dict, architecture.stem.kernel)
    shortcut = _shortcut(facts, state_dict, architecture)
    if shortcut not in facts.shortcuts:
        raise ValueError(
            f"Weights of {layout} must have projections where shortcuts {' or '.join(map(str, facts.shortcuts))} have "
            f"them. Received: those of {shortcut}"
        )
    classes = len(np.ravel(state_dict.get(facts.name_of("predictions/bias", depth), ()))) or None
    options = options_of(facts, block)
    return NetworkSpec(facts.family, depth, shortcut, block, classes=classes, channels=channels, **options)


def options_of(facts: Layout, block: str) -> dict[str, Any]:
    """The options of a package's networks, as far as networks of such blocks have them."""
    return {name: value for name, value in facts.options.items() if block != "basic" or name != "bottleneck_stride"}


def _depth(family: str, block: Block, blocks: tuple[int, ...]) -> int:
    """The depth of the network with these numbers of blocks in its stages."""
    if family == "cifar" and len(blocks) == 3 and len(set(blocks)) == 1:
        return CIFAR_LAYERS_PER_N[block] * blocks[0] + 2
    known = {stages: depth for depth, (kind, stages) in IMAGENET.items() if kind == block}
    if family == "imagenet" and blocks in known:
        return known[blocks]
    rule = "three stages of as many blocks each"
    if family == "imagenet":
        rule = f"stages of {' or '.join(', '.join(map(str, stages)) for stages in known)} {block} blocks"
    raise ValueError(f"The weights must be of {rule}. Received: {', '.join(map(str, blocks)) or 'no blocks'}")


def _shortcut(facts: Layout, state_dict: Mapping[str, np.ndarray], architecture: Architecture) -> Shortcut | str:
    """The option that has projections where the weights have them, or else the names of the blocks with projections."""
    plan = list(architecture.plan())
    projected = {
        block.name for block in plan if facts.name_of(f"{block.name}_0_conv/kernel", architecture.depth) in state_dict
    }
    where: dict[Shortcut, set[str]] = {
        "A": set(),
        "B": {block.name for block in plan if block.changes_channels},
        "C": {block.name for block in plan},
    }
    return next((option for option, blocks in where.items() if blocks == projected), ", ".join(sorted(projected)))


def _channels(facts: Layout, state_dict: Mapping[str, np.ndarray], side: int) -> int:
    """The channels of the images, from a first kernel of [side, side]."""
    name = facts.name_of("conv1_conv/kernel", 0)
    kernel = np.asarray(state_dict.get(name, ()))
    if kernel.ndim != 4:
        raise ValueError(f"The weights must have {name} with 4 axes. Received: shape {kernel.shape}")
    height, width, channels, _ = np.transpose(kernel, AXES[4]).shape if facts.outputs_first else kernel.shape
    if (height, width) != (side, side) and facts.family == "imagenet":
        raise ValueError(
            f"The weights must have {name} of {side}x{side} pixels, as the paper's networks of four stages have, which "
            f"are for photographs. Received: {height}x{width}, of a network of four stages for small images, for which "
            "the paper's have three"
        )
    return channels
