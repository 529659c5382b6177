"""What a training says to the one who waits for it: where it stands, and what to type next."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from keras_resnet.runs.directory import RunDirectory


def command(directory: RunDirectory) -> str:
    """What to type to continue a run."""
    return f"{python()} recipes/train.py {shlex.quote(str(directory.path))}"


def python() -> str:
    """This Python as the user may type it."""
    return os.path.relpath(sys.executable) if Path(sys.prefix).is_relative_to(Path.cwd()) else "python"


def report(directory: RunDirectory) -> str:
    """The end of a run, for the one who waited for it: what was measured, where it lies, what to type next."""
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
            f"  {python()} recipes/train.py --list",
        ]
    )
