"""The trainings of a search: each in a process and a run directory of its own, which is never trained twice."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from keras_resnet.config.recipe import Recipe
from keras_resnet.config.run import directory_in
from keras_resnet.host import child_process, signals
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.search import axes

STOPPED = tuple(signals.STATUSES.values())
"""Exit statuses of a training that was asked to stop: the search stops as well."""
IMPORTED = ("keras_resnet.experiment.run",)
"""What every training imports, which takes as long as a short one: it is done once, and each begins as a fork of that.
Importing it starts no thread of an engine and uses no device, so that a fork is as good as a new process."""

INTERVALS = ("log_every", "validate_every")
"""The fields of `training` that a program shortens by itself."""

Tell = Callable[[str], None]
"""Takes a line for the person who waits."""


def silent(line: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class Trial:
    """One training.

    Args:
        recipe: What is trained.
        command: What trains it, without the directory.
        directory: Of the run.
    """

    recipe: Recipe
    command: tuple[str, ...]
    directory: RunDirectory

    @property
    def log(self) -> Path:
        """The output of the training."""
        return self.directory.path.with_name(f"{self.directory.path.name}.log")

    def train(self, tell: Tell = silent) -> bool:
        """Begins or continues the training if it is not finished; returns whether it is now.

        Another process that trains the same is waited for, which `tell` is told.

        Raises:
            SystemExit: with its exit status, if it was asked to stop.
        """
        if self.directory.finished:
            return True
        with self.log.open("ab") as stream:
            # The training inherits the lock, and holds it for as long as it lives, whatever happens to this process.
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                tell(f"waits for the process that trains {self.directory.path}")
                fcntl.flock(stream, fcntl.LOCK_EX)
            if self.directory.finished:
                return True
            stream.truncate(0)
            words = (*self.command, "--run.directory", str(self.directory.path), "--run.resume")
            status = start(words, stream)
            if status in STOPPED:
                raise SystemExit(status)
            if status:
                stream.write(f"\nexit status {status}\n".encode())
        return self.directory.finished

    def failure(self) -> str:
        """The reason for which it came to no end, as far as its log tells."""
        if not self.log.exists():
            return "not trained"
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        status = [line for line in lines if line.startswith("exit status ")]
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        return ": ".join([*status[-1:], *errors[-1:]]) or f"unfinished; see {self.log}"


def prepare() -> None:
    """Starts to import what the trainings need, beside this process."""
    if child_process.forks_are_safe():
        child_process.prepare_forks(IMPORTED)


def start(command: Sequence[str], stream: BinaryIO) -> int:
    """Runs a training in a process of its own; returns its exit status.

    Args:
        command: What is run.
        stream: Where its output goes.
    """
    forks = child_process.forks_are_safe()
    return child_process.run(command, stream, child_process.in_fork if forks else child_process.in_new_process)


@dataclass(frozen=True)
class Plan:
    """The trainings of a search.

    Args:
        program: What trains a recipe, such as `("python", "recipes/train.py")`.
        name: The recipe, as that program knows it.
        flags: What changes it and its run: by field, such as `model.depth`, the words of the command line.
        recipe: Both together.
        seeds: Trainings of each point.
        directory: Of the search.
    """

    program: tuple[str, ...]
    name: str
    flags: Mapping[str, tuple[str, ...]]
    recipe: Recipe
    seeds: int
    directory: Path

    def trials(self, values: Mapping[str, Any], share: float = 1.0) -> list[Trial]:
        """The trainings of a point, one for each seed.

        Args:
            values: The values of the fields that are axes.
            share: Of the schedule, above 0 and at most 1.

        Raises:
            ValueError: if the recipe refuses these values.
        """
        point = axes.changed(self.recipe, values)
        more: dict[str, Any] = dict(values)
        if share != 1:
            more["schedule.scale"] = point.schedule.scale * share
        first = point.training.seed
        return [self._trial({**more, "training.seed": first + number}) for number in range(self.seeds)]

    def _trial(self, values: dict[str, Any]) -> Trial:
        recipe = axes.changed(self.recipe, values)
        directory = directory_in(self.directory / "trials", recipe)
        # Said in any case, or they would be shortened where flags make the recipe shorter.
        said = {f"training.{name}": getattr(recipe.training, name) for name in INTERVALS}
        flags = {**self.flags, **axes.flags({**said, **values})}  # a flag is given once
        words = itertools.chain.from_iterable(flags.values())
        return Trial(recipe, (*self.program, self.name, *words), RunDirectory(directory))


@dataclass(frozen=True)
class Outcome:
    """The outcome of a point.

    Args:
        values: Of the fields that are axes.
        share: Of the schedule.
        trials: One for each seed; none if the recipe refuses the point.
        reason: Why there is no error; empty if there is one.
        results: What each training measured, in the order of the trials; none if one of them came to no end.
    """

    values: dict[str, Any]
    share: float
    trials: tuple[Trial, ...] = ()
    reason: str = ""
    results: tuple[dict[str, Any], ...] = ()

    def errors(self, kind: str = "top1_error") -> list[float]:
        """The validation error of each training in percent."""
        return [result["splits"]["validation"][kind] for result in self.results]

    def mean(self, kind: str = "top1_error") -> float:
        """The mean of the validation errors in percent."""
        return statistics.fmean(self.errors(kind))

    def deviation(self, kind: str = "top1_error") -> float | None:
        """The standard deviation of the validation errors over the seeds (n - 1); None for one seed."""
        return statistics.stdev(self.errors(kind)) if len(self.results) > 1 else None


def outcome(plan: Plan, values: dict[str, Any], share: float = 1.0) -> Outcome:
    """The outcome of a point, from the directory of the search."""
    blank = Outcome(values, share)
    try:
        trials = plan.trials(values, share)
    except ValueError as error:
        return replace(blank, reason=f"refused: {error}")
    blank = replace(blank, trials=tuple(trials))
    failed = [trial for trial in trials if not trial.directory.finished]
    if failed:
        number = f"{len(failed)} of {len(trials)} trainings: " if len(trials) > 1 else ""
        return replace(blank, reason=number + failed[0].failure())
    return replace(blank, results=tuple(trial.directory.read_result() for trial in trials))


def train(plan: Plan, values: dict[str, Any], share: float = 1.0, tell: Tell = silent) -> Outcome:
    """Trains a point for every seed, unless it was; a training that fails spares the ones after it."""
    with contextlib.suppress(ValueError):  # of a point that is refused, which the outcome says
        all(trial.train(tell) for trial in plan.trials(values, share))
    return outcome(plan, values, share)
