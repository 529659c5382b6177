"""The runs of a page, read from their directories. Nothing is changed there: a run may be going on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_resnet.config.recipe import Recipe
from keras_resnet.runs import history
from keras_resnet.runs.directory import RunDirectory
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

    @property
    def iterations(self) -> int:
        """Iterations done."""
        return self.result["iterations"] if self.result else self.rows[-1].iteration if self.rows else 0


def read(directories: Sequence[Path]) -> list[RunRecord]:
    """What is known of some runs; a directory that is named twice is read once.

    Raises:
        FileNotFoundError: if a directory holds no run, or lacks a file.
        ValueError: if a file is damaged, which it names.
    """
    different = list(dict.fromkeys(directory.resolve() for directory in directories))
    return [_read_run(RunDirectory(path), label) for path, label in zip(different, labels(different), strict=True)]


def labels(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of different paths, of equally many parts, that tell them apart."""
    names = [path.name for path in paths]
    length = 1
    while len(set(names)) < len(paths):
        length += 1
        names = [str(Path(*path.parts[-length:])) for path in paths]
    return names


def _read_run(run: RunDirectory, label: str) -> RunRecord:
    run.require_run()
    recipe = Recipe.read(run.recipe)
    if run.finished and not run.history.is_file():
        raise FileNotFoundError(f"{run.history} is missing, and the run is finished")
    return RunRecord(
        label,
        recipe,
        tuple(history.read(run.history)),
        run.read_result() if run.finished else None,
        tuple(run.starts()),
        tuple((file.name, evaluation) for file, evaluation in run.evaluations()),
    )
