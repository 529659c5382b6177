"""Train a recipe at many points, and say which is best.

    python recipes/tune.py RECIPE --axes model.shortcut=A,B,C,None model.depth=20,32 [flags of recipes/train.py]
    python recipes/tune.py RECIPE --search random --trials 20 --axes schedule.learning_rate=0.01..0.5:log
    python recipes/tune.py RECIPE --search hyperband --axes optimizer.weight_decay=1e-5..1e-3:log model.depth=20,32
    python recipes/tune.py cifar10-shortcuts --seeds 5 --run.data-directory DIR
    python recipes/tune.py --list            the studies, which have axes of their own, and the recipes

An axis is any field of a recipe under its flag's name, with words divided by commas, or a range LOW..HIGH of numbers
(:log spreads them over the orders of magnitude; a grid has no ranges). Every training is a run in DIR/trials, named by
its recipe's fingerprint; what is trained there is not trained again, and what is unfinished continues: start the same
command again. One Ctrl-C, or a SIGTERM, lets the training at hand save a checkpoint. DIR/report.md and report.csv are
the result. A point that the recipe refuses, or whose training fails, is listed with the reason, and counts as 100%
error for the search.

hyperband trains many points for a short time, and one in three of them three times as long, up to the whole schedule.
Each rung trains anew, with the schedule shortened as by --schedule.scale: the first of three by 1/9.

Several processes share a search where KERASTUNER_ORACLE_IP, KERASTUNER_ORACLE_PORT (of the chief) and
KERASTUNER_TUNER_ID are set, the last to "chief" in one and to names of their own in the others, which train. All give
the same command and see the same DIR; the chief writes the report.

Exit status: 0 searched; 1 nothing could be trained; 2 refused; 75 or 130 stopped, and the same command continues.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from catalog.studies import STUDIES
from cli import command_line, program, recipe_line, refusal, startup
from keras_resnet import validation
from keras_resnet.config.recipe import Recipe
from keras_resnet.config.run import Run
from keras_resnet.host import outputs, signals
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.search import axes, progress, report, trials

TRAIN = Path(__file__).with_name("train.py")
TRIALS, RUNGS = 10, 3
"""Points of a random or bayesian search, and lengths of hyperband's trainings, unless they are given."""
DECIDED = ("directory", "checkpoint_directory", "resume", "accept_changes")
"""What the search decides for each run."""
ValuesOf = Callable[[Mapping[str, Any]], dict[str, Any]]
"""From the words and numbers that a search chooses to the values of the fields."""
SHARED = ("KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT", "KERASTUNER_TUNER_ID")


@dataclass(frozen=True, kw_only=True)
class Options(recipe_line.Overrides):
    """Options of a search, beside those of the recipe and its run."""

    axes: tuple[str, ...] = ()
    """Fields and their values, NAME=VALUE,VALUE or NAME=LOW..HIGH; a study has its own."""
    search: Literal["grid", "random", "hyperband", "bayesian"] = "grid"
    """How points are chosen."""
    trials: int | None = None
    """The most points. None: all of a grid, otherwise 10."""
    rungs: int | None = None
    """hyperband: lengths of training, each 3 times the last. None: 3."""
    seeds: int = 1
    """Trainings of each point."""
    directory: Path | None = None
    """Of the search. None: runs/tune-RECIPE."""

    def _check(self) -> None:
        self._at_least(1, "trials", "rungs", "seeds")
        if self.rungs and self.search != "hyperband":
            raise ValueError(f"`rungs` is for search='hyperband'. Received: search={self.search!r}")
        if self.trials and self.search == "hyperband":
            raise ValueError("`trials` is not for search='hyperband': its `rungs` decide")
        for field in fields(Run):
            if field.name in DECIDED and getattr(self.run, field.name) != field.default:
                raise ValueError(
                    f"`run.{field.name}` is for one run: each run of a search has a directory of its own below that of "
                    "the search"
                )
        if self.run.strategy in ("multi_worker", "multi_process"):
            validation.refuse("strategy", "that of one process", self.run.strategy)


@dataclass(frozen=True)
class Search:
    """A search that can be made."""

    plan: trials.Plan
    axes: list[axes.Axis]
    kind: str
    trials: int | None
    rungs: int
    command: str
    """What was typed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Searches as the command line asks; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    name, words = recipe_line.first_word(arguments, __doc__, listing())
    try:
        asked = read(name, words, shlex.join([*program.invocation().split(), *arguments]))
    except (ValueError, OSError) as error:
        refusal.refuse(error, command_line.flags_by_argument(Options, words))
    return program.answer(search, asked, flags=FLAGS, extras=("recipes", "tuning"))


FLAGS = command_line.flags_by_argument(Options)


def read(name: str, words: Sequence[str], command: str) -> Search:
    """The search that a command line asks for.

    Args:
        name: Of a study or a recipe.
        words: The flags after it.
        command: What was typed, for the report.

    Raises:
        ValueError, OSError: if it cannot be made; nothing was changed.
    """
    study = STUDIES.get(name)
    base = study.recipe if study else name
    if RunDirectory(Path(base)).recipe.is_file():  # of a run that is finished or not, its recipe is searched
        base = str(RunDirectory(Path(base)).recipe)
    recipe, run = recipe_line.find(base)
    options = recipe_line.override(Options, recipe, run, words, name)
    recipe = recipe_line.changed(recipe, options)
    texts = options.axes or (study.axes if study else ())
    if not texts:
        raise ValueError("`axes` must name at least one field, such as model.shortcut=A,B. Only studies have axes")
    directory = options.directory or Path("runs") / f"tune-{name.replace(os.sep, '-')}"
    flags = {name: given for name, given in command_line.given(Options, words).items() if "." in name}
    plan = trials.Plan((sys.executable, str(TRAIN)), base, flags, recipe, options.seeds, directory)
    most = options.trials or (TRIALS if options.search in ("random", "bayesian") else None)
    asked = Search(plan, axes.read(texts), options.search, most, options.rungs or RUNGS, command)
    check(asked, options.run.data_directory)
    return asked


def listing() -> str:
    """The studies, then the recipes."""
    width = max(map(len, STUDIES))
    studies = [f"  {name:{width}}  {study.description}: {' '.join(study.axes)}" for name, study in STUDIES.items()]
    return "\n".join(["Studies:", *studies, recipe_line.listing()])


def check(asked: Search, data: str | None) -> None:
    """Refuses a search that cannot be made.

    Raises:
        ValueError, OSError: saying what to change.
    """
    axes.check(asked.plan.recipe, asked.axes)
    ranges = [axis.name for axis in asked.axes if axis.ends]
    if ranges and asked.kind == "grid":
        raise ValueError(f"`axes` {ranges[0]} must be values with search='grid': only the other searches take ranges")
    if asked.kind == "hyperband":
        least, points = hyperband_points(asked.rungs), axes.points(asked.axes)
        if points < least:
            rule = f"{least} points or more with {asked.rungs} rungs of hyperband"
            raise ValueError(f"`axes` must have {rule}. Received: {points} points")
    known = [name for name in SHARED if name in os.environ]
    if known and len(known) < len(SHARED):
        missing = ", ".join(name for name in SHARED if name not in known)
        raise ValueError(f"a search of several processes needs {', '.join(SHARED)}. Not set: {missing}")
    if data and "://" not in data and not Path(data).expanduser().is_dir():  # each training would find out for itself
        raise NotADirectoryError(f"`data_directory` must be a directory. Received: {data}")
    check_directory(asked.plan.directory)


def hyperband_points(rungs: int) -> int:
    """How many points hyperband begins with in all, as KerasTuner counts them."""
    return sum(math.ceil(rungs / (bracket + 1) * 3**bracket) for bracket in range(rungs))


def check_directory(directory: Path) -> None:
    """Refuses a directory that holds something else than a search.

    Raises:
        ValueError, OSError: if it does.
    """
    outputs.check_directory(directory, "directory")
    if directory.is_dir() and any(directory.iterdir()) and not (directory / "trials").is_dir():
        raise ValueError(f"{directory} has files but no trials: it holds no search. Choose another `directory`")


def search(asked: Search) -> int:
    """Trains the points that the search chooses, and reports; returns the exit status."""
    plan, found = asked.plan, {axis.name: axis for axis in asked.axes}

    def values_of(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: found[name].value(values[name]) for name in found}

    try:
        with signals.ending():
            chosen = measured(asked, values_of)
    except (KeyboardInterrupt, SystemExit) as stop:
        print("stopped; the same command continues", file=sys.stderr)
        return stop.code if isinstance(stop, SystemExit) else program.INTERRUPTED
    if chosen is None:
        print("the search is over; its chief writes the report")
        return 0
    outcomes = [trials.outcome(plan, values_of(values), share) for values, share in chosen]
    print(report.write(plan.directory, asked.command, plan.recipe, outcomes))
    print("\n".join([f"all of it is in {plan.directory}", *next_commands(plan.recipe, outcomes)]))
    return 0 if any(outcome.results for outcome in outcomes) else 1


def measured(asked: Search, values_of: ValuesOf) -> list[tuple[dict[str, Any], float]] | None:
    """Trains the points that the search chooses; returns them with their shares, as `oracles.search` does."""
    # KerasTuner loads TensorFlow, which takes seconds: everything that can be refused without it has been by now.
    with startup.loading():
        trials.prepare()
        from keras_resnet.search import oracles

    (asked.plan.directory / "trials").mkdir(parents=True, exist_ok=True)
    going = progress_of(asked)

    def measure(values: Mapping[str, Any], share: float) -> float | None:
        point = values_of(values)
        words = itertools.chain.from_iterable(axes.flags(point).values())
        told = " ".join(words) + (f", {share:.3g} of the schedule" if share != 1 else "")
        with going.measuring(point, share) if going else contextlib.nullcontext("") as count:
            print(" ".join(filter(None, [count, told, "…"])), flush=True)
            outcome = trials.train(asked.plan, point, share, tell=functools.partial(print, flush=True))
        print(f"{told}: {outcome.reason or f'{outcome.mean():.2f}% error'}", flush=True)
        return None if outcome.reason else outcome.mean()

    try:
        return oracles.search(
            measure,
            {axis.name: axis.words for axis in asked.axes if axis.words},
            {axis.name: (*axis.ends, "log" if axis.log else "linear") for axis in asked.axes if axis.ends},
            kind=asked.kind,
            trials=asked.trials,
            rungs=asked.rungs,
        )
    except ImportError as error:  # bayesian alone needs scikit-learn
        raise ValueError(str(error)) from error


def progress_of(asked: Search) -> progress.Progress | None:
    """The count of a search, and the time that is left; `None` where other processes share it."""
    if SHARED[0] in os.environ:
        return None
    points = min(axes.points(asked.axes), asked.trials or math.inf)
    shares = progress.hyperband_shares(asked.rungs) if asked.kind == "hyperband" else [1.0] * int(points)
    return progress.Progress(asked.plan, asked.axes, shares, whole_grid=points == axes.points(asked.axes))


def next_commands(recipe: Recipe, outcomes: Sequence[trials.Outcome]) -> list[str]:
    """What to do with the best point, as commands."""
    best = min(outcomes, key=report.rank, default=None)
    if best is None or not best.results:
        return []
    directory = best.trials[0].directory
    lines = [
        program.command("evaluate", str(directory.path)),
        program.command("report", *(str(trial.directory.path) for trial in best.trials), "--output", "best.html"),
    ]
    if recipe.data.holdout:  # chosen on held-out images, it is trained on all of them
        lines.append(program.command("train", str(directory.recipe), "--data.holdout", "0"))
    return ["next, with the best point", *(f"  {line}" for line in lines)]


if __name__ == "__main__":
    program.run(main)
