"""What a file of weights holds: arrays by name, and what it says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_resnet.facts.preprocessing import Preprocessing
from keras_resnet.weights.metadata import WeightsMetadata

ENTRIES = ("state_dict", "model_state_dict", "model_state", "model", "network", "net", "weights", "params", "module")
"""Where training programs put the weights beside other things, the usual one first; torchvision's under `model`."""

AVERAGES = (
    "state_dict_ema",
    "model_ema",
    "model_ema_state_dict",
    "ema_state_dict",
    "ema",
    "swa_state_dict",
    "swa_model",
)
"""Where they put the average of the weights, which timm and torchvision evaluate where there is one."""

WRAPPERS = ("module.", "model.", "network.", "net.", "backbone.", "_orig_mod.")
"""What `DataParallel`, `torch.compile`, Lightning and others put in front of every name."""

COUNTER = "n_averaged"
"""The tensor that torch's `AveragedModel` has beside the average."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Arrays by the names of a package, and what is said of them beside.

    Args:
        state_dict: The arrays.
        entry: The key under which they lay among other things; empty if the file holds nothing else.
        others: The keys under which further weights lie.
        architecture: What the program that wrote it called the network; empty if it said nothing.
        options: Arguments that it gave to the network beside.
        preprocessing: Normalization of the images in its training, or of the layers in front of the network.
        has_front: Whether there are layers that the images may go through first, of which no more is known.
        metadata: What this package wrote beside the arrays.
    """

    state_dict: dict[str, np.ndarray]
    entry: str = ""
    others: tuple[str, ...] = ()
    architecture: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    preprocessing: Preprocessing | None = None
    has_front: bool = False
    metadata: WeightsMetadata | None = None


def choose(found: Mapping[str, Any], entry: str | None, source: object) -> str:
    """The key of the weights to take: the one that is asked for, an average, or the usual one.

    Args:
        found: State dicts by their keys in the file; at least one.
        entry: A key of it; None if nothing was asked for.
        source: The file, for errors.

    Raises:
        ValueError: if there is no such entry, or if several are there and none is a usual one.
    """
    if entry is not None:
        if entry not in found:
            raise ValueError(
                f"`entry` must be one of {', '.join(found) or 'no entries'}, where {source} holds weights. "
                f"Received: entry={entry!r}"
            )
        return entry
    if usual := [key for key in (*AVERAGES, *ENTRIES) if key in found]:
        return usual[0]
    if len(found) > 1:
        raise ValueError(f"{source} holds the weights {', '.join(found)}. Choose one of them by `entry`")
    return next(iter(found))


def unwrapped(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays by the names that they have without the wrappers of their network."""
    names = {name: name.replace("_orig_mod.", "") for name in map(str, state_dict) if name != COUNTER}
    while names and (wrapper := next((w for w in WRAPPERS if all(n.startswith(w) for n in names.values())), None)):
        names = {name: inner.removeprefix(wrapper) for name, inner in names.items()}
    return {names[str(name)]: array for name, array in state_dict.items() if str(name) in names}
