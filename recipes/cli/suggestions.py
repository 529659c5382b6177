"""What to type instead of a flag that a program does not have: by its meaning first, then by its spelling."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from keras_resnet import validation

if TYPE_CHECKING:
    from cli.command_line import Flag

EXAMPLES: Mapping[str, str] = {
    "accumulation": "2",
    "augmentation": "flip",
    "axes": "model.depth=20,32",
    "batch_size": "64",
    "boundaries": "32000 48000",
    "checkpoint_every": "1000",
    "class_names": "names.txt",
    "data_directory": "DIR",
    "depth": "50",
    "directory": "DIR",
    "ema_momentum": "0.999",
    "factor": "0.1",
    "format": "onnx",
    "global_batch_size": "128",
    "global_clipnorm": "1",
    "holdout": "5000",
    "image_size": "224",
    "iterations": "2000",
    "keep_checkpoints": "3",
    "label_smoothing": "0.1",
    "learning_rate": "0.1",
    "log_every": "100",
    "optimizer.name": "sgd",
    "normalization": "per-channel",
    "output": "PATH",
    "precision": "mixed_bfloat16",
    "preprocessing": "torch",
    "schedule.name": "cosine",
    "seed": "1",
    "seeds": "5",
    "split": "test",
    "strategy": "mirrored",
    "top": "5",
    "trials": "20",
    "validate_every": "1000",
    "warmup_iterations": "500",
    "weight_decay": "1e-4",
    "workers": "4",
}
"""A value of each flag that a word of `validation.MEANT` may stand for."""

REMARKS: Mapping[str, str] = {
    "schedule.iterations": "trainings are counted in iterations, not in epochs; --schedule.scale 0.5 halves all of it",
    "run.resume": "the directory of a run in the place of the recipe does the same",
}
"""What else there is to know of some of them."""

NOWHERE: Mapping[str, str] = {
    "strategy": "It takes the GPU that it sees: CUDA_VISIBLE_DEVICES=0 in front of the command chooses one, "
    "CUDA_VISIBLE_DEVICES=-1 the CPU",
    "workers": "The input uses all cores that it may",
    "network": "A training begins with random weights",
    "precision": "The precision is that of the network",
    "classes": "The classes are those of the images or of the network",
}
"""Argument -> what to know in a program that has none of what a word may stand for."""


def instead(typed: str, known: Mapping[str, Flag], positionals: Mapping[str, str]) -> str:
    """A sentence about a flag that there is not.

    Args:
        typed: The flag as it was typed.
        known: The flags of the program by their spellings.
        positionals: What the help calls the arguments without a flag, by their names.
    """
    by_argument = {flag.argument: flag for flag in known.values()}
    name = typed.lstrip("-").replace("-", "_")
    meant = validation.meant(name, [*by_argument, *positionals])
    if meant in positionals:
        return f"{positionals[str(meant)]} has no flag: give it before the flags, and --help shows where"
    if meant is not None:
        return f"Did you mean {example(by_argument[str(meant)])}?"
    for argument in (name, *validation.MEANT.get(name.rpartition(".")[2].lower(), ())):
        if argument in NOWHERE:
            return NOWHERE[argument]
    near = nearest(typed.replace("_", "-"), known)
    return f"Did you mean {near}?" if near else "--help lists the flags"


def example(flag: Flag) -> str:
    """A flag with a value, and what else there is to know."""
    argument = flag.argument.rpartition(".")[2]
    value = EXAMPLES.get(flag.argument, EXAMPLES.get(argument, "")) if flag.needs_value or argument in EXAMPLES else ""
    shown = f"{flag.spelling} {value}".rstrip()
    return f"{shown} ({REMARKS[flag.argument]})" if flag.argument in REMARKS else shown


def nearest(name: str, known: Mapping[str, Flag]) -> str | None:
    """The flag that is spelled most like another; the section counts less than what follows it."""

    def likeness(flag: str) -> tuple[float, float]:
        last, wanted = (each.removeprefix("--").rpartition(".")[2] for each in (flag, name))
        return tuple(difflib.SequenceMatcher(None, *pair).ratio() for pair in ((last, wanted), (flag, name)))

    best = max(known, key=likeness, default=None)
    return best if best and likeness(best)[0] >= 0.6 else None
