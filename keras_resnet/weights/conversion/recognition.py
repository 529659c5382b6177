"""Which network some weights are of, and which networks a package has."""

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


def identify(state: Mapping[str, np.ndarray], layout: str) -> NetworkSpec:
    """The form of the network that the weights of a package are of, from their names and shapes.

    Args:
        state: Arrays by the package's names; see `read_state` and `state_of`.
        layout: A key of `LAYOUTS`; see `detect`.

    Raises:
        ValueError: naming what was found, if there is no such network.
    """
    facts = LAYOUTS[layout]
    block: Block = "bottleneck" if facts.theirs("conv2_block1_3_conv/kernel", 0) in state else "basic"
    stages = Counter(int(match[1]) for name in state if (match := facts.block.fullmatch(name)))
    depth = _depth(facts.family, block, tuple(number for _, number in sorted(stages.items())))
    shortcut = _shortcut(facts, state, NetworkSpec(facts.family, depth, None, block).architecture)
    if shortcut not in facts.shortcuts:
        raise ValueError(
            f"Weights of {layout} must have projections where shortcuts {' or '.join(map(str, facts.shortcuts))} have "
            f"them. Received: those of {shortcut}"
        )
    classes = len(np.ravel(state.get(facts.theirs("predictions/bias", depth), ()))) or None
    options = shapeless(facts, block)
    return NetworkSpec(
        facts.family, depth, shortcut, block, classes=classes, channels=_channels(facts, state), **options
    )


def shapeless(facts: Layout, block: str) -> dict[str, Any]:
    """The options of a package's networks, as far as networks of such blocks have them."""
    return {name: value for name, value in facts.options.items() if block != "basic" or name != "bottleneck_stride"}


def _depth(family: str, block: Block, blocks: tuple[int, ...]) -> int:
    """The depth of the network that has so many blocks in its stages."""
    if family == "cifar" and len(blocks) == 3 and len(set(blocks)) == 1:
        return CIFAR_LAYERS_PER_N[block] * blocks[0] + 2
    known = {stages: depth for depth, (kind, stages) in IMAGENET.items() if kind == block}
    if family == "imagenet" and blocks in known:
        return known[blocks]
    rule = "three stages of as many blocks each"
    if family == "imagenet":
        rule = f"stages of {' or '.join(', '.join(map(str, stages)) for stages in known)} {block} blocks"
    raise ValueError(f"The weights must be of {rule}. Received: {', '.join(map(str, blocks)) or 'no blocks'}")


def _shortcut(facts: Layout, state: Mapping[str, np.ndarray], architecture: Architecture) -> Shortcut | str:
    """The option that has projections where the weights have them, or in words where those are."""
    plan = list(architecture.plan())
    found = {block.name for block in plan if facts.theirs(f"{block.name}_0_conv/kernel", architecture.depth) in state}
    where: dict[Shortcut, set[str]] = {
        "A": set(),
        "B": {block.name for block in plan if block.changes_channels},
        "C": {block.name for block in plan},
    }
    return next((option for option, blocks in where.items() if blocks == found), ", ".join(sorted(found)))


def _channels(facts: Layout, state: Mapping[str, np.ndarray]) -> int:
    """The channels of the images."""
    name = facts.theirs("conv1_conv/kernel", 0)
    kernel = np.asarray(state.get(name, ()))
    if kernel.ndim != 4:
        raise ValueError(f"The weights must have {name} with 4 axes. Received: shape {kernel.shape}")
    return kernel.shape[AXES[4][2] if facts.outputs_first else 2]


def check_form(form: NetworkSpec, layout: str) -> None:
    """Refuses a network in which the weights of a package would mean something else: no shape would tell.

    Raises:
        ValueError: naming the argument that it must be built with.
    """
    facts = LAYOUTS[layout]
    wanted = {"family": facts.family} | shapeless(facts, form.block)
    for argument, value in wanted.items():
        if (has := getattr(form, argument)) != value:
            raise ValueError(f"Weights of {layout} need a network of {argument}={value!r}. Received: {has!r}")
    if form.shortcut not in facts.shortcuts:
        options = " or ".join(map(repr, facts.shortcuts))
        raise ValueError(f"Weights of {layout} need a network of shortcut={options}. Received: {form.shortcut!r}")
