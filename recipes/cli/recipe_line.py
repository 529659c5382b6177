"""From the words of a command line to a recipe and a run, without TensorFlow.

The recipe is resolved here; tyro sees only the overrides, which are named as in a recipe: `--model.shortcut`.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

from catalog import RECIPES
from cli import command_line, program, refusal
from cli.options import Options
from keras_resnet import validation
from keras_resnet.config import intervals
from keras_resnet.config.recipe import DataConfig, ModelConfig, OptimizerConfig, Recipe, ScheduleConfig, TrainingConfig
from keras_resnet.config.run import Run
from keras_resnet.runs.directory import RunDirectory


@dataclass(frozen=True, kw_only=True)
class Overrides(Options):
    """What the command line may change of a recipe and its run, under the names of its flags."""

    model: ModelConfig
    data: DataConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    training: TrainingConfig
    run: Run


Kind = TypeVar("Kind", bound=Overrides)
FLAGS = command_line.flags_by_argument(Overrides)


def read(arguments: Sequence[str], doc: str) -> tuple[Recipe, Run]:
    """The recipe and the run that a command line asks for.

    Args:
        arguments: What follows the script's name: a recipe, then overrides.
        doc: What `--help` prints above the list of recipes.

    Raises:
        SystemExit: 2 with an error on stderr if anything is refused; 0 after `--help` or `--list`.
    """
    name, flags = first_word(arguments, doc, listing())
    try:
        recipe, run = find(name)
        chosen = override(Overrides, recipe, run, flags, name)
        return with_intervals(recipe, changed(recipe, chosen), flags), chosen.run
    except (ValueError, OSError) as error:
        refusal.refuse(error, command_line.flags_by_argument(Overrides, flags))


def first_word(arguments: Sequence[str], doc: str, listed: str) -> tuple[str, list[str]]:
    """The recipe's name and the words after it.

    Args:
        arguments: The words.
        doc: What `--help` prints.
        listed: What `--list` prints, and `--help` below.

    Raises:
        SystemExit: after `--help` or `--list`, or where nothing is asked for.
    """
    usage = f"{program.as_typed(doc.strip())}\n\n{listed}"
    match list(arguments):
        case []:
            print(usage, file=sys.stderr)
            raise SystemExit(2)
        case ["--help" | "-h", *_]:
            print(usage)
            raise SystemExit(0)
        case ["--list"]:
            print(listed)
            raise SystemExit(0)
        case [name, *_] if name.startswith("-"):
            refusal.refuse(f"the recipe comes first, before {name}. --list shows the recipes")
        case [name, *flags]:
            return name, flags
    raise AssertionError("every list of words is matched above")


def listing() -> str:
    """The recipes, one on a line."""
    width = max(map(len, RECIPES))
    return "\n".join(["Recipes:", *(f"  {name:{width}}  {recipe.description}" for name, recipe in RECIPES.items())])


def find(name: str) -> tuple[Recipe, Run]:
    """The recipe of a name in the catalog, or in a `recipe.json`; or of the directory of a run, and how to continue it.

    Raises:
        ValueError: if there is none, or if the file holds no valid recipe.
        OSError: if the file cannot be read.
    """
    if name in RECIPES:
        return RECIPES[name], Run()
    if name.endswith(".json"):
        if not Path(name).is_file():
            raise FileNotFoundError(f"There is no file {name}")
        return Recipe.read(Path(name)), Run()
    if (Path(name) / "recipe.json").is_file():
        return Recipe.read(Path(name) / "recipe.json"), continuation(RunDirectory(Path(name)))
    raise ValueError(f"{name!r} is no recipe{why_no_run(Path(name))}")


def why_no_run(path: Path) -> str:
    """The end of a refusal of a word that is neither a recipe nor the directory of a run: what is like it."""
    if path.is_dir():
        below = f". Runs are below it, such as {first}" if (first := RunDirectory(path).first_below()) else ""
        return f", and holds no run: there is no {path / 'recipe.json'}{below}"
    if len(path.parts) > 1:
        runs = [file.parent for file in path.parent.glob("*/recipe.json")]
        close = difflib.get_close_matches(str(path), map(str, runs), 3, 0.5)
        return f", and there is no run {path}. " + (f"Near it: {', '.join(close)}" if close else LISTED)
    close = difflib.get_close_matches(path.name.lower(), RECIPES, 3, 0.4)
    hint = validation.nearest(path.name, RECIPES) or (f"Near it: {', '.join(close)}" if close else "")
    return f". {hint} ({LISTED})" if hint else f". {LISTED}"


LISTED = "--list shows the recipes; a recipe.json is replayed, the directory of a run continued"


def continuation(directory: RunDirectory) -> Run:
    """The options of a run that continues as it was last started."""
    starts = directory.starts()
    remembered = starts[-1].get("run", {}) if starts else {}
    known = {field.name for field in fields(Run)}
    kept = {key: value for key, value in remembered.items() if key in known}
    return Run(**{**kept, "directory": str(directory.path), "resume": True})


def override(kind: type[Kind], recipe: Recipe, run: Run, flags: Sequence[str], name: str) -> Kind:
    """The sections of a recipe and its run with the changes of flags, and the other options of a program.

    Args:
        kind: `Overrides`, or a dataclass that adds options, each with a default.
        recipe: What the flags change.
        run: The same.
        flags: The words after the recipe's name.
        name: Of the recipe, for the help.

    Raises:
        ValueError: if the flags are refused.
        SystemExit: 0 after `--help`.
    """
    sections = {field.name: getattr(recipe, field.name) for field in fields(Overrides) if field.name != "run"}
    return command_line.parse(
        kind,
        flags,
        program=f"{program.invocation()} {name}",
        description=recipe.description,
        default=kind(**sections, run=run),
    )


def changed(recipe: Recipe, chosen: Overrides) -> Recipe:
    """The recipe with the sections that were chosen."""
    return replace(
        recipe, **{field.name: getattr(chosen, field.name) for field in fields(Overrides) if field.name != "run"}
    )


def with_intervals(recipe: Recipe, asked: Recipe, flags: Sequence[str]) -> Recipe:
    """What is asked for; where flags have made it shorter than the recipe, with intervals to match, unless given."""
    if asked.schedule.scaled_iterations >= recipe.schedule.scaled_iterations:
        return asked
    given = {name.rpartition(".")[2] for name in command_line.given(Overrides, flags)}
    return intervals.shortened(asked, {name: times for name, times in intervals.LEAST.items() if name not in given})
