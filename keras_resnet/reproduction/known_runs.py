"""The runs that a study can be made of, by their recipes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from keras_resnet.config.recipe import Recipe
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.runs.find import find


@dataclass(frozen=True)
class KnownRun:
    """A run, finished or not."""

    directory: RunDirectory
    recipe: Recipe
    hyperparameters: dict[str, Any]
    """Of the recipe, taken out of it once."""


@dataclass(frozen=True)
class KnownRuns:
    """The runs of a directory, and one line for each subdirectory that should hold one and cannot be read."""

    every: tuple[KnownRun, ...]
    unreadable: tuple[str, ...] = ()

    def of(self, recipe: Recipe) -> RunDirectory | None:
        """The run of exactly this recipe, a finished one before an unfinished; `None` if there is none.

        Recipes are compared, not the fingerprints that were recorded: those of another version may differ.
        """
        wanted = recipe.hyperparameters()
        same = [known.directory for known in self.every if known.hyperparameters == wanted]
        return next((directory for directory in same if directory.finished), same[0] if same else None)

    def images_per_second(self, recipe: Recipe) -> float | None:
        """The median speed of the finished trainings of the same network on such images; `None` if unknown."""
        asked = _work(recipe)
        same = [known.directory for known in self.every if _work(known.recipe) == asked]
        results = [directory.read_result() for directory in same if directory.finished]
        speeds = [speed for result in results if (speed := result["images_per_second"])]
        return median(speeds) if speeds else None


def find_runs(path: Path) -> KnownRuns:
    """The runs in the directories directly below a path, in the order of their names; none if it does not exist.

    Raises:
        NotADirectoryError: if the path is a file.
    """
    found = find(path, _read)
    return KnownRuns(found.runs, found.unreadable)


def _read(directory: RunDirectory) -> KnownRun:
    recipe = Recipe.read(directory.recipe)
    return KnownRun(directory, recipe, recipe.hyperparameters())


def _work(recipe: Recipe) -> tuple[object, ...]:
    """What decides how much work an image is."""
    return recipe.model, recipe.data.dataset, recipe.data.image_side, recipe.training.precision
