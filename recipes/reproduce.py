"""See a table or a figure of the paper beside what this package measured; train what is missing for it.

    python recipes/reproduce.py table1
    python recipes/reproduce.py table6 --dry-run
    python recipes/reproduce.py table6 --data-directory DIR --seeds 5
    python recipes/reproduce.py figure6 --data-directory DIR --scale 0.125 --precision mixed_bfloat16
    python recipes/reproduce.py figure6 --data-directory DIR --networks plain-20 plain-56 ResNet-20 ResNet-56
    python recipes/reproduce.py all --data-directory DIR --no-train

It first prints which trainings the item needs, which of them are finished in --runs, and how long the others will take,
judged by finished trainings of the same network. Then it trains what is missing, one network after the other, measures
it as the paper did, and writes ITEM.md and ITEM.csv into --output, of a figure ITEM.png and ITEM.svg as well. One
Ctrl-C lets the training save a checkpoint; the same command continues there. A training that fails leaves the others.

A finished training counts if its recipe is the one asked for to the last value; its directory may have any name.
ITEM.* are generated anew each time. The last line of ITEM.md tells which files were generated: files that were not, or
were changed since, are only replaced with --overwrite.

Exit status: 0 done; 1 a training or a measurement failed, and the rest was written; 2 refused, and nothing was changed;
75 start the same command again; 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import refusal
import study_pages
from catalog import RECIPES
from keras_resnet.config.recipe import Precision
from keras_resnet.reproduction import findings, kept_files, plan
from keras_resnet.reproduction.items import ITEMS, Attempt, Item, attempts
from keras_resnet.reproduction.known_runs import KnownRuns, find_runs
from keras_resnet.reproduction.plan import Training

NAMES = ("table1", *ITEMS)
SCRIPTS = Path(__file__).parent
AGAIN, INTERRUPTED = 75, 130
"""Exit statuses of a training that was asked to stop, and has saved a checkpoint."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes the items that the command line asks for; returns the exit status."""
    return refusal.answer(work, read_options(arguments))


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = refusal.Parser(__doc__)
    parser.add_argument("item", choices=(*NAMES, "all"))
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where trainings are; defaults to %(default)s")
    parser.add_argument("--output", type=Path, default=Path("reports"), help="defaults to %(default)s")
    parser.add_argument("--data-directory", help="of the images; a training that is continued knows its own")
    parser.add_argument(
        "--networks", nargs="+", metavar="NAME", help="train only these; others count if they are there"
    )
    parser.add_argument("--seeds", type=refusal.at_least_one, default=1, help="trainings of each network, from seed 0")
    parser.add_argument("--scale", type=float, default=1.0, help="part of the schedule, such as 0.125")
    parser.add_argument("--precision", choices=get_args(Precision), help="of the activations; defaults to the recipe's")
    parser.add_argument("--strategy", choices=("one_device", "mirrored", "tpu"), help="the devices of new trainings")
    parser.add_argument("--dry-run", action="store_true", help="only print the plan")
    parser.add_argument("--train", action=argparse.BooleanOptionalAction, default=True, help="train what is missing")
    parser.add_argument("--overwrite", action="store_true", help="replace files that this program did not write")
    return parser.parse_args(arguments)


def work(options: argparse.Namespace) -> int:
    """Plans, trains, measures and writes; returns the exit status.

    Raises:
        ValueError, OSError: if anything does not fit; nothing was changed.
    """
    names = NAMES if options.item == "all" else (options.item,)
    wanted = {name: rows_of(ITEMS[name], options) for name in names if name in ITEMS}
    check(names, options)
    to_train = {name: chosen(ITEMS[name], rows, options.networks) for name, rows in wanted.items()}
    print(plan_in_words(to_train, find_runs(options.runs), options), flush=True)
    if options.dry_run:
        return 0
    failed: set[str] = set()
    try:
        for name in names:
            rows = wanted.get(name, [])
            try:
                todo = to_train.get(name, [])
                if todo and options.train and (stopped := carry_out(ITEMS[name], todo, options, failed)):
                    print("stopped; the same command continues", file=sys.stderr)
                    return stopped
                study_pages.write(name, rows, options)
            except (ValueError, OSError) as error:
                print(f"error: {name}: {error}", file=sys.stderr)
                failed.add(name)
    except KeyboardInterrupt:
        print("\nstopped; what is finished is kept, and the same command continues", file=sys.stderr)
        return INTERRUPTED
    return 1 if failed else 0


def rows_of(item: Item, options: argparse.Namespace) -> list[list[Attempt]]:
    """What has to be trained, for each row of an item."""
    asked = {name: getattr(options, name) for name in ("seeds", "scale", "precision")}
    return [attempts(item, row, RECIPES, **asked) for row in item.rows]


def chosen(item: Item, rows: list[list[Attempt]], networks: Sequence[str] | None) -> list[list[Attempt]]:
    """What is to be trained of the attempts of each row: all, or those of the networks with these names."""
    return [each for row, each in zip(item.rows, rows, strict=True) if not networks or row.paper.name in networks]


def check(names: Sequence[str], options: argparse.Namespace) -> None:
    """Refuses what would only fail after hours.

    Raises:
        ValueError, OSError: saying what to change.
    """
    if options.runs.exists() and not options.runs.is_dir():
        raise NotADirectoryError(f"{options.runs} is a file. Choose another --runs")
    data = options.data_directory
    if data and "://" not in data and not Path(data).expanduser().is_dir():
        raise NotADirectoryError(f"--data-directory must be a directory. Received: {data}")
    known = list(
        dict.fromkeys(row.paper.name for name in names if name in ITEMS for row in ITEMS[name].rows if row.networks)
    )
    if unknown := [name for name in options.networks or () if name not in known]:
        raise ValueError(f"--networks must be some of {', '.join(known) or 'none'}. Received: {', '.join(unknown)}")
    for name in names:
        kept_files.check(options.output, name, overwrite=options.overwrite)


def plan_in_words(wanted: dict[str, list[list[Attempt]]], runs: KnownRuns, options: argparse.Namespace) -> str:
    """What there is, what is missing, and how long that will take."""
    lines = [f"left out: {line}" for line in runs.unreadable]
    every: dict[str, Training] = {}
    for name, rows in wanted.items():
        lines.append(ITEMS[name].title)
        needed = plan.trainings((attempt for row in rows for attempt in row), runs, options.runs)
        lines += map(training_in_words, needed)
        every |= {training.recipe.fingerprint: training for training in needed}
        if later := unmeasured(ITEMS[name], rows, runs, options.runs):
            lines.append(f"  measurements after training: {len(later)} ({later[0].view}), time unknown")
    left = [training for training in every.values() if not training.finished]
    if wanted:
        lines.append(f"{len(every) - len(left)} of {len(every)} trainings are finished{remaining(left)}")
    return "\n".join(lines) or "nothing to train"


def training_in_words(training: Training) -> str:
    """One line of the plan."""
    recipe, total = training.recipe, training.recipe.schedule.scaled_iterations
    network = f"{recipe.name} {recipe.model.shortcut or ''}".rstrip()
    state = "finished" if training.finished else f"{training.iteration:,} of {total:,} iterations"
    left = "" if training.finished else f", {duration(training.seconds)}"
    return f"  {network:20} seed {recipe.training.seed}  {state}{left}  {training.directory.path}"


def remaining(left: Sequence[Training]) -> str:
    """The time of several trainings together, and for how many it is unknown."""
    known = [training.seconds for training in left if training.seconds is not None]
    unknown = len(left) - len(known)
    parts = [f"{duration(sum(known))} for {len(known)}"] * bool(known) + [f"unknown for {unknown}"] * bool(unknown)
    return f"; the time that is left: {', '.join(parts)}" if parts else ""


def duration(seconds: float | None) -> str:
    """In words; of the training alone, without validations."""
    if seconds is None:
        return "time unknown"
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= size:
            return f"about {seconds / size:.1f} {unit}"
    return "less than a minute"


def unmeasured(item: Item, rows: Sequence[Sequence[Attempt]], runs: KnownRuns, path: Path) -> list[plan.Measurement]:
    """The measurements after training that have not been made."""
    every = [attempt for row in rows for attempt in row]
    later = [(attempt, plan.measurement(item, attempt, runs, path)) for attempt in every]
    return [one for attempt, one in later if one and not findings.measured(item, attempt, runs, path)]


def carry_out(item: Item, rows: Sequence[Sequence[Attempt]], options: argparse.Namespace, failed: set[str]) -> int:
    """Trains and measures what is missing for an item, one after the other.

    Args:
        item: The study.
        rows: The attempts of each of its rows.
        options: Of the command line.
        failed: Takes what failed; what is in it already is not tried again.

    Returns:
        0, or the exit status of what was stopped from outside.
    """
    more = ["--run.data-directory", options.data_directory] if options.data_directory else []
    devices = ["--run.strategy", options.strategy] if options.strategy else []
    for training in plan.trainings((attempt for row in rows for attempt in row), find_runs(options.runs), options.runs):
        if not training.finished:
            words = training.arguments(RECIPES[training.recipe.name]) + more
            words += [] if training.begun else devices  # a run is continued on the devices that it has
            if stopped := attempt_once("train.py", words, training.recipe.fingerprint, failed):
                return stopped
    data = ["--data-directory", options.data_directory] if options.data_directory else []
    for one in unmeasured(item, rows, find_runs(options.runs), options.runs):
        if one.trained and (stopped := attempt_once("evaluate.py", [*one.arguments(), *data], str(one.file), failed)):
            return stopped
    return 0


def attempt_once(script: str, words: Sequence[str], what: str, failed: set[str]) -> int:
    """Runs a script unless that failed before; returns its exit status if it was stopped from outside, otherwise 0."""
    if what in failed:
        return 0
    command = [sys.executable, str(SCRIPTS / script), *words]
    print(f"\n$ {shlex.join(command)}", flush=True)
    status = run(command)
    if status in (AGAIN, INTERRUPTED):
        return status
    if status:
        print(f"error: failed with exit status {status}: {shlex.join(command)}", file=sys.stderr, flush=True)
        failed.add(what)
    return 0


def run(command: Sequence[str]) -> int:
    """Runs a command to its end; returns its exit status, or `INTERRUPTED` or `AGAIN` where it was asked to stop."""
    with passing_signals_on() as (started, received):
        # In a group of its own, so that Ctrl-C reaches it once: by way of this process.
        started.append(subprocess.Popen(command, process_group=0))
        if received:
            started[0].send_signal(received[0])
        status = started[0].wait()
    if received:
        return INTERRUPTED if received[0] == signal.SIGINT else AGAIN
    return status


@contextlib.contextmanager
def passing_signals_on() -> Iterator[tuple[list[subprocess.Popen], list[int]]]:
    """While open, Ctrl-C and SIGTERM go to the processes in the first list, and are noted in the second."""
    started: list[subprocess.Popen] = []
    received: list[int] = []

    def pass_on(number: int, _: object) -> None:
        received.append(number)
        for process in started:
            process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield started, received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
