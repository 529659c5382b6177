"""The text that a finished or a stopped run prints."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from pathlib import Path

from keras_resnet.runs.directory import RunDirectory
from keras_resnet.runs.results import Values

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
    if speed := kept["images_per_second"]:
        lines.append(f"{speed:,.0f} images per second")
    lines += better_one(kept)
    return "\n".join(
        [
            *lines,
            f"model    {directory.model}",
            f"curve    {directory.curve}",
            f"metrics  {directory.result} and {directory.history}",
            "next",
            *(f"  {line}" for line in next_commands(directory)),
        ]
    )


def better_one(result: Values) -> list[str]:
    """The line about an iteration with a smaller validation error than that of the network that was kept, if any."""
    kept, best = result.get("kept_iteration"), result.get("best_iteration")
    error = result.get("best_validation_error")
    if None in (kept, best, error) or kept == best or error >= result["splits"]["validation"]["top1_error"]:
        return []
    best_one = f"iteration {best:,} had {error:.2f}% validation error: training.keep=best keeps that one"
    return [f"iteration {kept:,} is kept, the last; {best_one}"]


def next_commands(directory: RunDirectory) -> list[str]:
    """What to do with a finished run: the programs beside the one that this process runs, and TensorBoard."""
    place = shlex.quote(str(directory.path))
    exported = shlex.quote(str(directory.path / "saved-model"))
    load = f"keras.saving.load_model({str(directory.model)!r})"
    beside = {
        "predict": f"{place} PICTURES",
        "evaluate": f"{place} --view center",
    }
    if importlib.util.find_spec("tensorflow"):
        beside["export"] = f"{place} --format saved-model --output {exported}"
    programs = [f"{program} {words}" for name, words in beside.items() if (program := _beside(name))]
    return [
        *programs,
        f"{python()} -m tensorboard.main --logdir {shlex.quote(str(directory.logs))}",
        f'{python()} -c "import keras, keras_resnet; {load}.summary()"',
    ]


def _beside(name: str) -> str | None:
    """A program beside that which trains, as one types it; `None` where a function trains."""
    program = Path(sys.argv[0])
    if sys.argv[0] == CONSOLE_COMMAND:
        return f"{CONSOLE_COMMAND.partition(' ')[0]} {name}"
    if program.name == TRAIN:
        return f"{python()} {shlex.quote(_as_typed(program.with_name(f'{name}.py')))}"
    return None
