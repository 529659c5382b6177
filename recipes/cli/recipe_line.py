"""From the words of a command line to a recipe and a run, without TensorFlow.

The recipe is resolved here; tyro sees only the overrides. A value that the rules below cannot read reaches the
dataclasses as it was typed, so that they refuse it in the words that a JSON file or a notebook would meet.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NoReturn

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from catalog import RECIPES
from keras_resnet import validation
from keras_resnet.config.recipe import DataConfig, ModelConfig, OptimizerConfig, Recipe, ScheduleConfig, TrainingConfig
from keras_resnet.config.run import Run
from keras_resnet.runs.directory import RunDirectory


@dataclass(frozen=True)
class Overrides:
    """What the command line may change, under the names of its flags."""

    model: ModelConfig
    data: DataConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    training: TrainingConfig
    run: Run


def read(arguments: Sequence[str], usage: str) -> tuple[Recipe, Run]:
    """The recipe and the run that a command line asks for.

    Args:
        arguments: What follows the script's name: a recipe, then overrides.
        usage: What `--help` prints above the list of recipes.

    Raises:
        SystemExit: 2 with an error on stderr if anything is refused; 0 after `--help` or `--list`.
    """
    match list(arguments):
        case []:
            print(f"{usage}\n\n{listing()}", file=sys.stderr)
            raise SystemExit(2)
        case ["--help" | "-h", *_]:
            print(f"{usage}\n\n{listing()}")
            raise SystemExit(0)
        case ["--list", *_]:
            print(listing())
            raise SystemExit(0)
        case [name, *overrides]:
            try:
                return override(*find(name), overrides, program=f"python {sys.argv[0]} {name}")
            except (ValueError, OSError) as error:
                fail(error)
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
    if name.startswith("-"):
        raise ValueError(f"the recipe comes first, before {name}. --list shows the recipes")
    if name.endswith(".json"):
        return Recipe.read(Path(name)), Run()
    if (Path(name) / "recipe.json").is_file():
        return Recipe.read(Path(name) / "recipe.json"), continuation(RunDirectory(Path(name)))
    hint = validation.nearest(name, RECIPES) or f"Recipes: {', '.join(RECIPES)}"
    raise ValueError(
        f"{name!r} is no recipe. {hint} (--list describes them; a recipe.json is replayed, a run directory continued)"
    )


def continuation(directory: RunDirectory) -> Run:
    """How to continue a run: as it was last started."""
    starts = directory.starts()
    remembered = starts[-1].get("run", {}) if starts else {}
    known = {field.name for field in fields(Run)}
    kept = {key: value for key, value in remembered.items() if key in known}
    return Run(**{**kept, "directory": str(directory.path), "resume": True})


def override(recipe: Recipe, run: Run, flags: Sequence[str], program: str) -> tuple[Recipe, Run]:
    """The recipe and the run with the flags' changes; `program` is how the help calls the command."""
    default = Overrides(recipe.model, recipe.data, recipe.optimizer, recipe.schedule, recipe.training, run)
    chosen = tyro.cli(
        Overrides, default=default, args=flags, prog=program, description=recipe.description, registry=spelling()
    )
    parts = {name: value for name, value in vars(chosen).items() if name != "run"}
    return replace(recipe, **parts), chosen.run


def spelling() -> ConstructorRegistry:
    """How the words of a command line become values."""
    registry = ConstructorRegistry()

    @registry.primitive_rule
    def rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
        if info.type in (int, float):
            return lenient(info.type, info.type.__name__.upper())
        words = (True, False, None) if info.type == bool | None else validation.choices(info.type)
        if words is None:
            return None
        return lenient({str(word): word for word in words}.__getitem__, "{" + ",".join(map(str, words)) + "}")

    return registry


def lenient(convert: Callable[[str], object], metavar: str) -> PrimitiveConstructorSpec[Any]:
    """A rule that converts one word if it can, and otherwise leaves it to the dataclass to refuse."""

    def instance_from_str(words: list[str]) -> object:
        try:
            return convert(words[0])
        except (KeyError, ValueError):
            return words[0]

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=instance_from_str,
        is_instance=lambda _: True,
        str_from_instance=lambda value: [str(value)],
    )


def fail(error: object) -> NoReturn:
    """Ends the program with one error."""
    print(f"error: {error}", file=sys.stderr)
    raise SystemExit(2)
