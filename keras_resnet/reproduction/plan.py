"""Plan of a study: the trainings and measurements that it needs, those that are there, and the time that is left."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnet import validation
from keras_resnet.config.recipe import Recipe
from keras_resnet.reproduction.items import Attempt, Item
from keras_resnet.reproduction.known_runs import KnownRuns
from keras_resnet.runs import iterations
from keras_resnet.runs.directory import RunDirectory


@dataclass(frozen=True)
class Training:
    """One training that a study needs, and its progress."""

    recipe: Recipe
    directory: RunDirectory
    iteration: int
    """Iterations done."""
    begun: bool
    """Whether the directory holds this very recipe, so that the run is continued as it was started."""
    seconds: float | None
    """The time that is left, of the images alone; `None`: unknown."""

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train."""
        return self.begun and self.directory.finished

    def changes(self, base: Recipe) -> dict[str, Any]:
        """The values that differ from those of another recipe, by field: `{"training.seed": 1}`."""
        before = dict(validation.leaves(base.hyperparameters()))
        wanted = dict(validation.leaves(self.recipe.hyperparameters()))
        return {field: value for field, value in wanted.items() if value != before[field]}


@dataclass(frozen=True)
class Measurement:
    """One measurement after training, of a network or of an ensemble."""

    view: str
    members: tuple[RunDirectory, ...]
    trained: bool
    """Whether the run of every member is finished."""
    directory: Path

    @property
    def file(self) -> Path:
        """The file that it writes."""
        return self.directory / f"result-{self.view}.json"


def directory_for(recipe: Recipe, runs: KnownRuns, path: Path) -> RunDirectory:
    """The directory of the run of a recipe, or the one that it will have."""
    return runs.of(recipe) or RunDirectory(path / f"{recipe.name}-{recipe.fingerprint}")


def training(recipe: Recipe, runs: KnownRuns, path: Path) -> Training:
    """The state of one training.

    Args:
        recipe: Its recipe.
        runs: All runs in the path.
        path: The directory of the runs.
    """
    run, total = runs.of(recipe), recipe.schedule.scaled_iterations
    done = iterations_done(run, total) if run else 0
    speed, left = runs.images_per_second(recipe), (total - done) * recipe.training.global_batch_size
    seconds = 0.0 if not left else left / speed if speed else None
    return Training(recipe, directory_for(recipe, runs, path), done, run is not None, seconds)


def iterations_done(run: RunDirectory, total: int) -> int:
    """The iterations that a run has done; 0 without a checkpoint, because it will start over.

    Args:
        run: Finished or not.
        total: The iterations after which it ends.
    """
    if run.finished:
        return total
    done = iterations.reached(run)  # refuses a damaged history, also where it starts over
    return min(done, total) if can_continue(run) else 0


def can_continue(run: RunDirectory) -> bool:
    """Whether a run has a checkpoint, or keeps them elsewhere."""
    starts = run.starts()
    elsewhere = bool(starts) and starts[-1].get("run", {}).get("checkpoint_directory") is not None
    return elsewhere or bool(iterations.checkpoints(file.name for file in run.checkpoints.glob("ckpt-*")))


def trainings(attempts: Iterable[Attempt], runs: KnownRuns, path: Path) -> list[Training]:
    """The state of every training that the attempts need, each once, in their order."""
    recipes = {recipe.fingerprint: recipe for attempt in attempts for recipe in attempt}
    return [training(recipe, runs, path) for recipe in recipes.values()]


def measurement(item: Item, attempt: Attempt, runs: KnownRuns, path: Path) -> Measurement | None:
    """The measurement of an attempt after its training; `None` where the training makes it."""
    if item.view == "center":
        return None
    members = tuple(directory_for(recipe, runs, path) for recipe in attempt)
    trained = all((run := runs.of(recipe)) is not None and run.finished for recipe in attempt)
    if len(members) == 1:
        return Measurement(item.view, members, trained, members[0].path / "evaluation")
    # An earlier version may have measured it, under the fingerprints of its own.
    places = [
        ensemble_directory(path, names) for names in zip(*(recipe.fingerprints for recipe in attempt), strict=False)
    ]
    directory = next((place for place in places if place.exists()), places[0])
    return Measurement(item.view, members, trained, directory)


def ensemble_directory(path: Path, fingerprints: Iterable[str]) -> Path:
    """Where an ensemble of networks is measured."""
    return path / f"ensemble-{hashlib.sha256('-'.join(fingerprints).encode()).hexdigest()[:12]}"
