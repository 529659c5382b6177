"""The text that a finished or a stopped run prints."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from keras_resnet.runs.directory import RunDirectory

TRAIN = "train.py"
CONSOLE_COMMAND = "keras-resnet train"
"""The programs that train, as `sys.argv[0]` names them."""


def command(directory: RunDirectory) -> str:
    """How to continue a run: the program that this process runs and the directory, or the argument of the function."""
    program, place = Path(sys.argv[0]), shlex.quote(str(directory.path))
    if sys.argv[0] == CONSOLE_COMMAND:
        return f"{CONSOLE_COMMAND} {place}"
    if program.name == TRAIN:
        return f"{python()} {shlex.quote(_as_typed(program))} {place}"
    return f"`resume=True` with directory={str(directory.path)!r}"


def python() -> str:
    """This Python as the user may type it."""
    return os.path.relpath(sys.executable) if Path(sys.prefix).is_relative_to(Path.cwd()) else "python"


def _as_typed(file: Path) -> str:
    return os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file)


def report(directory: RunDirectory) -> str:
    """The end of a run: what was measured, where it lies, and what to do with it next.

    Raises:
        ValueError: if its result is damaged.
    """
    kept = directory.read_result()
    lines = [f"{'split':12}{'images':>8}{'top-1 error':>14}{'loss':>10}"]
    for name, errors in kept["splits"].items():
        lines.append(f"{name:12}{errors['images']:>8,}{errors['top1_error']:>13.2f}%{errors['loss']:>10.4f}")
    load = f"keras.saving.load_model({str(directory.model)!r})"
    if speed := kept["images_per_second"]:
        lines.append(f"{speed:,.0f} images per second")
    return "\n".join(
        [
            *lines,
            f"model    {directory.model}",
            f"curve    {directory.curve}",
            f"metrics  {directory.result} and {directory.history}",
            "next",
            f"  {python()} -m tensorboard.main --logdir {directory.logs}",
            f'  {python()} -c "import keras, keras_resnet; {load}.summary()"',
        ]
    )
