"""The runs of a page, read from their directories. Nothing is changed there: a run may be going on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from keras_resnet.config.recipe import Recipe
from keras_resnet.runs import history, iterations
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.runs.find import among
from keras_resnet.runs.history import Row
from keras_resnet.runs.results import Values


@dataclass(frozen=True)
class RunRecord:
    """What is known of a run."""

    label: str
    """Its own name on the page."""
    recipe: Recipe
    rows: tuple[Row, ...] = ()
    """Of `history.csv`, in order."""
    result: Values | None = None
    """Of `result.json`; None for a run that is not finished."""
    starts: tuple[Values, ...] = ()
    """Of `environment.json`, one for each start; empty where none was kept."""
    evaluations: tuple[tuple[str, Values], ...] = ()
    """(name of the file, what it holds) of later evaluations."""

    @property
    def fingerprint(self) -> str:
        """Of the recipe, as the version of this package knew it that finished the run."""
        return self.result["fingerprint"] if self.result else self.recipe.fingerprint

    reached: int = 0
    """The iterations done, of which the last are perhaps in a checkpoint only."""

    @property
    def iterations(self) -> int:
        """Iterations done."""
        if self.result:
            return int(self.result["iterations"])
        return max(self.reached, self.rows[-1].iteration if self.rows else 0)


def read(paths: Sequence[Path]) -> tuple[list[RunRecord], tuple[str, ...]]:
    """What is known of the runs among some paths, and a line for each path that is no run or cannot be read.

    A directory that is named twice is read once.

    Raises:
        FileNotFoundError: if there is nothing at a path.
    """
    different = {path.resolve(): path for path in reversed(paths)}
    found = among(reversed(different.values()), lambda run: (run.path.resolve(), _read_run(run)))
    names = labels([path for path, _ in found.runs])
    return [replace(record, label=name) for (_, record), name in zip(found.runs, names, strict=True)], found.unreadable


def labels(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of different paths, of equally many parts, that tell them apart."""
    names = [path.name for path in paths]
    length = 1
    while len(set(names)) < len(paths):
        length += 1
        names = [str(Path(*path.parts[-length:])) for path in paths]
    return names


def _read_run(run: RunDirectory) -> RunRecord:
    recipe = Recipe.read(run.recipe)
    if run.finished and not run.history.is_file():
        raise FileNotFoundError(f"{run.history} is missing, and the run is finished")
    return RunRecord(
        run.path.name,
        recipe,
        tuple(history.read(run.history)),
        run.read_result() if run.finished else None,
        tuple(run.starts()),
        tuple((file.name, evaluation) for file, evaluation in run.evaluations()),
        iterations.reached(run),
    )
