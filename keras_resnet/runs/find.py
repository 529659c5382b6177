"""The runs that there are, read without changing anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median

from keras_resnet.config.recipe import Recipe
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.runs.history import HEADER, Row


@dataclass(frozen=True)
class Found:
    """A run, finished or not."""

    directory: RunDirectory
    recipe: Recipe
    fingerprint: str
    """Of the recipe, which takes a while to compute."""


@dataclass(frozen=True)
class Runs:
    """The runs of a directory, and one line for each subdirectory that should hold one and cannot be read."""

    every: tuple[Found, ...]
    unreadable: tuple[str, ...] = ()

    def of(self, recipe: Recipe) -> RunDirectory | None:
        """The run of exactly this recipe, a finished one before an unfinished; `None` if there is none."""
        fingerprint = recipe.fingerprint
        same = [found.directory for found in self.every if found.fingerprint == fingerprint]
        return next((directory for directory in same if directory.finished), same[0] if same else None)

    def images_per_second(self, recipe: Recipe) -> float | None:
        """The median speed of the finished trainings of the same network on such images; `None` if unknown."""
        asked = work(recipe)
        same = [found.directory for found in self.every if work(found.recipe) == asked]
        results = [directory.read_result() for directory in same if directory.finished]
        speeds = [speed for result in results if (speed := result.get("images_per_second"))]
        return median(speeds) if speeds else None


def work(recipe: Recipe) -> tuple[object, ...]:
    """What decides how much work an image is."""
    return recipe.model, recipe.data.dataset, recipe.data.image_side, recipe.training.precision


def find_runs(path: Path) -> Runs:
    """The runs in the directories directly below a path, in the order of their names; none if it does not exist.

    Raises:
        NotADirectoryError: if the path is a file.
    """
    if not path.exists():
        return Runs(())
    found, unreadable = [], []
    for directory in map(RunDirectory, sorted(path.iterdir())):
        if directory.recipe.is_file():
            try:
                recipe = Recipe.read(directory.recipe)
                found.append(Found(directory, recipe, recipe.fingerprint))
            except (ValueError, OSError) as error:
                unreadable.append(str(error))
    return Runs(tuple(found), tuple(unreadable))


def history_rows(directory: RunDirectory) -> list[Row]:
    """What a training has recorded so far, in order; a last line without an end is left out.

    The file stays as it is: a training may be writing it.

    Raises:
        ValueError: if the file is something else.
    """
    if not directory.history.is_file():
        return []
    header, *lines = directory.history.read_text(encoding="utf-8", errors="replace").split("\n")[:-1] or [HEADER]
    if header != HEADER:
        raise ValueError(f"{directory.history} must begin with {HEADER}. Received: {header[:80]!r}")
    try:
        return [Row.from_line(line) for line in lines]
    except ValueError as error:
        raise ValueError(f"{directory.history}: {error}") from error
