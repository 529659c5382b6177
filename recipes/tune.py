"""Train a recipe at many points, and say which is best.

    python recipes/tune.py RECIPE --axes model.shortcut=A,B,C,None model.depth=20,32 [flags of recipes/train.py]
    python recipes/tune.py RECIPE --search random --trials 20 --axes schedule.learning_rate=0.01..0.5:log
    python recipes/tune.py RECIPE --search hyperband --axes optimizer.weight_decay=1e-5..1e-3:log model.depth=20,32
    python recipes/tune.py cifar10-shortcuts --seeds 5 --run.data-directory DIR
    python recipes/tune.py --list            the studies, which have axes of their own, and the recipes

An axis is any field of a recipe under its flag's name, with words divided by commas, or a range LOW..HIGH of numbers
(:log spreads them over the orders of magnitude; a grid has no ranges). Every training is a run in DIR/trials, named by
its recipe's fingerprint; what is trained there is not trained again, and what is unfinished continues: start the same
command again. DIR/report.md and report.csv are the result. A point that the recipe refuses, or whose training fails,
is listed with the reason, and counts as 100% error for the search.

hyperband trains many points for a short time, and one in three of them three times as long, up to the whole schedule.
Each rung trains anew, with the schedule shortened as by --schedule.scale: the first of three by 1/9.

Several processes share a search where KERASTUNER_ORACLE_IP, KERASTUNER_ORACLE_PORT (of the chief) and
KERASTUNER_TUNER_ID are set, the last to "chief" in one and to names of their own in the others, which train. All give
the same command and see the same DIR; the chief writes the report.

Exit status: 0 searched; 1 nothing could be trained; 2 refused; 75 or 130 stopped, and the same command continues.
"""

from __future__ import annotations

import argparse
import math
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import axes
import command_line
import startup
import trials
import tuning_report
from catalog.studies import STUDIES
from keras_resnet.config.recipe import Recipe
from keras_resnet.config.run import Run
from refusal import Parser, answer, at_least_one, refuse

SEARCHES = ("grid", "random", "hyperband", "bayesian")
TRIALS = 10
"""Points of a random or bayesian search, unless somebody says otherwise."""
DECIDED = ("directory", "checkpoint_directory", "resume", "accept_changes")
"""What the search decides for each run."""
SHARED = ("KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT", "KERASTUNER_TUNER_ID")


def main(arguments: Sequence[str]) -> int:
    """Searches as the command line asks; returns the exit status."""
    if list(arguments) == ["--list"]:
        print(listing())
        return 0
    options, flags = parser().parse_known_args(arguments)
    options.command = shlex.join(["python", "recipes/tune.py", *arguments])
    try:
        name, options.axes = named(options.recipe, options.axes)
        recipe, run = command_line.override(*command_line.find(name), flags, f"python recipes/tune.py {name}")
        check_run(run)
        check_search(options, recipe)
    except (ValueError, OSError) as error:
        refuse(error)
    options.plan = trials.Plan(name, tuple(flags), recipe, options.seeds, options.directory)
    return answer(search, options, "To install all that searches need: pip install -e '.[recipes,tuning]'")


def parser() -> argparse.ArgumentParser:
    """The command line; what it does not know are flags of the recipe."""
    parser = Parser(__doc__.strip())
    parser.add_argument("recipe", metavar="RECIPE", help="a study, a recipe, or the recipe.json of a run")
    parser.add_argument("--axes", nargs="+", metavar="NAME=VALUES", help="the axes; a study has its own")
    parser.add_argument("--search", choices=SEARCHES, default="grid", help="default: %(default)s")
    parser.add_argument(
        "--trials", type=at_least_one, metavar="N", help=f"the most points; default: all of a grid, otherwise {TRIALS}"
    )
    parser.add_argument(
        "--rungs",
        type=at_least_one,
        metavar="N",
        help="hyperband: lengths of training, each 3 times the last; default: 3",
    )
    parser.add_argument(
        "--seeds", type=at_least_one, default=1, metavar="N", help="trainings of each point; default: %(default)s"
    )
    parser.add_argument("--directory", type=Path, metavar="DIR", help="default: runs/tune-RECIPE")
    return parser


def listing() -> str:
    """The studies, then the recipes."""
    width = max(map(len, STUDIES))
    studies = [f"  {name:{width}}  {study.description}: {' '.join(study.axes)}" for name, study in STUDIES.items()]
    return "\n".join(["Studies:", *studies, command_line.listing()])


def named(name: str, texts: Sequence[str] | None) -> tuple[str, list[axes.Axis]]:
    """The recipe and the axes of a study, or of the command line."""
    study = STUDIES.get(name)
    texts = texts or (study and study.axes)
    if not texts:
        raise ValueError("`--axes` must name at least one field, such as model.shortcut=A,B. Only studies have axes")
    return study.recipe if study else name, axes.read(texts)


def check_run(run: Run) -> None:
    """Refuses what the search decides itself."""
    for field in fields(Run):
        if field.name in DECIDED and getattr(run, field.name) != field.default:
            flag = f"--run.{field.name.replace('_', '-')}"
            raise ValueError(f"{flag} is for one run: each run of a search has a directory below --directory")
    if run.strategy == "multi_worker":
        raise ValueError("`--run.strategy` must be that of one process. Received: multi_worker")


def check_search(options: argparse.Namespace, recipe: Recipe) -> None:
    """Refuses a search that cannot be; fills in what was not said."""
    options.directory = options.directory or Path("runs") / f"tune-{options.recipe.replace(os.sep, '-')}"
    axes.check(recipe, options.axes)
    ranges = [axis.name for axis in options.axes if axis.ends]
    if ranges and options.search == "grid":
        raise ValueError(f"`--axes {ranges[0]}` must be values with --search grid: only the other searches take ranges")
    if options.rungs and options.search != "hyperband":
        raise ValueError(f"`--rungs` is for --search hyperband. Received: --search {options.search}")
    options.rungs = options.rungs or 3
    if options.search == "hyperband":
        if options.trials:
            raise ValueError("`--trials` is not for --search hyperband: its `--rungs` decide")
        least, points = hyperband_points(options.rungs), axes.points(options.axes)
        if points < least:
            rule = f"{least} points or more with {options.rungs} rungs of hyperband"
            raise ValueError(f"`--axes` must have {rule}. Received: {points} points")
    elif options.search != "grid":
        options.trials = options.trials or TRIALS
    known = [name for name in SHARED if name in os.environ]
    if known and len(known) < len(SHARED):
        missing = ", ".join(name for name in SHARED if name not in known)
        raise ValueError(f"a search of several processes needs {', '.join(SHARED)}. Not set: {missing}")
    check_directory(options.directory)


def hyperband_points(rungs: int) -> int:
    """How many points hyperband begins with in all, as KerasTuner counts them."""
    return sum(math.ceil(rungs / (bracket + 1) * 3**bracket) for bracket in range(rungs))


def check_directory(directory: Path) -> None:
    """Refuses a directory that holds something else than a search."""
    if directory.exists() and not directory.is_dir():
        raise NotADirectoryError(f"{directory} is a file. Choose another --directory")
    if directory.is_dir() and any(directory.iterdir()) and not (directory / "trials").is_dir():
        raise ValueError(f"{directory} has files but no trials: it holds no search. Choose another --directory")


def search(options: argparse.Namespace) -> int:
    """Trains the points that the search chooses, and reports; returns the exit status."""
    # KerasTuner loads TensorFlow, which takes seconds: everything that can be refused without it has been by now.
    with startup.loading():
        from keras_resnet.search import oracles

    plan, found = options.plan, {axis.name: axis for axis in options.axes}
    (plan.directory / "trials").mkdir(parents=True, exist_ok=True)

    def read(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: found[name].value(values[name]) for name in found}

    def measure(values: Mapping[str, Any], share: float) -> float | None:
        told = " ".join(axes.flags(read(values))) + (f", {share:.3g} of the schedule" if share != 1 else "")
        print(f"{told} …", flush=True)
        outcome = trials.train(plan, read(values), share)
        print(f"{told}: {outcome.reason or f'{outcome.mean():.2f}% error'}", flush=True)
        return None if outcome.reason else outcome.mean()

    try:
        chosen = oracles.search(
            measure,
            {axis.name: axis.words for axis in options.axes if axis.words},
            {axis.name: (*axis.ends, "log" if axis.log else "linear") for axis in options.axes if axis.ends},
            kind=options.search,
            trials=options.trials,
            rungs=options.rungs,
        )
    except (KeyboardInterrupt, SystemExit) as stop:
        print("stopped; the same command continues", file=sys.stderr)
        return stop.code if isinstance(stop, SystemExit) else 130
    except ImportError as error:  # bayesian alone needs scikit-learn
        raise ValueError(str(error)) from error
    if chosen is None:
        print("the search is over; its chief writes the report")
        return 0
    outcomes = [trials.outcome(plan, read(values), share) for values, share in chosen]
    print(tuning_report.write(plan.directory, options.command, plan.recipe, outcomes))
    print(f"all of it is in {plan.directory}")
    return 0 if any(outcome.results for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
