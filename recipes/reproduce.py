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

import itertools
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

import layer_responses
from catalog import RECIPES
from cli import command_line, program, refusal, startup
from cli.options import OfOverwriting
from keras_resnet import validation
from keras_resnet.config.recipe import Precision
from keras_resnet.facts import architectures
from keras_resnet.host import outputs, signals
from keras_resnet.host.child_process import run
from keras_resnet.reporting.architecture_table import Column
from keras_resnet.reproduction import findings, pages, plan
from keras_resnet.reproduction.items import ITEMS, Attempt, Item, attempts
from keras_resnet.reproduction.known_runs import KnownRuns, find_runs
from keras_resnet.reproduction.plan import Training
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.search import axes

NAMES = ("table1", *ITEMS)
SCRIPTS = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Options(OfOverwriting):
    """Options of this program."""

    item: Annotated[Positional[str], arg(metavar="ITEM")]
    """table1 to table6, figure1, figure4, figure6, figure7, or all."""
    runs: Path = Path("runs")
    """The directory of the trainings."""
    output: Path = Path("reports")
    """The directory for the pages."""
    data_directory: str | None = None
    """Where the images are. None: a training that is continued knows its own."""
    networks: tuple[str, ...] = ()
    """Train only these; others count if they are there."""
    seeds: int = 1
    """Trainings of each network, from seed 0 on."""
    scale: float = 1.0
    """Part of the schedule, such as 0.125."""
    precision: Precision | None = None
    """Of the activations. None: the recipe's."""
    strategy: Literal["one_device", "mirrored", "tpu"] | None = None
    """The devices of new trainings. None: one."""
    dry_run: bool = False
    """Only print the plan."""
    train: bool = True
    """Train what is missing."""

    def _check(self) -> None:
        validation.one_of("item", self.item, (*NAMES, "all"))
        self._at_least(1, "seeds")


FLAGS = command_line.flags_by_argument(Options)
FLAGS |= {"directory": FLAGS["output"]}


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes the items that the command line asks for; returns the exit status."""
    return program.answer(work, command_line.read(Options, __doc__, arguments), flags=FLAGS)


def work(options: Options) -> int:
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
        stopped = make(names, wanted, to_train, options, failed)
    except (KeyboardInterrupt, SystemExit) as stop:
        stopped = stop.code if isinstance(stop, SystemExit) else program.INTERRUPTED
    if stopped:
        print("\nstopped; what is finished is kept, and the same command continues", file=sys.stderr)
        return stopped
    for line in next_commands(wanted, options):
        print(line)
    return 1 if failed else 0


def make(
    names: Sequence[str],
    wanted: Mapping[str, list[list[Attempt]]],
    to_train: Mapping[str, list[list[Attempt]]],
    options: Options,
    failed: set[str],
) -> int:
    """Trains, measures and writes one item after the other; returns 0, or the exit status of what was stopped."""
    with signals.ending():
        for name in names:
            rows = wanted.get(name, [])
            try:
                todo = to_train.get(name, [])
                if todo and options.train and (stopped := train_and_measure(ITEMS[name], todo, options, failed)):
                    return stopped
                write(name, rows, options)
            except (ValueError, OSError) as error:
                refusal.show(f"{name}: {error}", FLAGS)
                failed.add(name)
    return 0


def next_commands(wanted: Mapping[str, Sequence[Sequence[Attempt]]], options: Options) -> list[str]:
    """What to do with the runs of the items, as commands."""
    every = [attempt for rows in wanted.values() for row in rows for attempt in row]
    finished = [one for one in plan.trainings(every, find_runs(options.runs), options.runs) if one.finished]
    if not finished:
        return []
    paths = [str(training.directory.path) for training in finished]
    page = options.output / f"{options.item}.html"
    lines = [program.command("report", *paths, "--output", str(page))]
    lines += [program.command("evaluate", path) for path in paths[:1] if RunDirectory(Path(path)).model.is_file()]
    return ["next, with the runs", *(f"  {line}" for line in lines)]


def rows_of(item: Item, options: Options) -> list[list[Attempt]]:
    """What has to be trained, for each row of an item."""
    asked = {name: getattr(options, name) for name in ("seeds", "scale", "precision")}
    return [attempts(item, row, RECIPES, **asked) for row in item.rows]


def chosen(item: Item, rows: list[list[Attempt]], networks: Sequence[str]) -> list[list[Attempt]]:
    """What is to be trained of the attempts of each row: all, or those of the networks with these names."""
    return [each for row, each in zip(item.rows, rows, strict=True) if not networks or row.paper.name in networks]


def check(names: Sequence[str], options: Options) -> None:
    """Refuses what would only fail after hours.

    Raises:
        ValueError, OSError: saying what to change.
    """
    outputs.check_directory(options.runs, "runs")
    data = options.data_directory
    if data and "://" not in data and not Path(data).expanduser().is_dir():
        raise NotADirectoryError(f"`data_directory` must be a directory. Received: {data}")
    known = list(
        dict.fromkeys(row.paper.name for name in names if name in ITEMS for row in ITEMS[name].rows if row.networks)
    )
    if unknown := [name for name in options.networks if name not in known]:
        raise ValueError(f"`networks` must be some of {', '.join(known) or 'none'}. Received: {', '.join(unknown)}")
    for name in names:
        pages.check(options.output, name, overwrite=options.overwrite)


def write(name: str, rows: Sequence[Sequence[Attempt]], options: Options) -> None:
    """Writes an item, and prints its page.

    Args:
        name: Of the item.
        rows: The attempts of each of its rows.
        options: Of the command line.

    Raises:
        ValueError, OSError: if a file of a run is damaged, if images that a figure needs are not there, or if a file
            cannot be written; those of an earlier call are left as they are, unless it is the last.
        FileExistsError: if files were changed since the program began, or show measurements that there are no more.
    """

    def responses(first: Mapping[str, RunDirectory]) -> dict[str, list[float]]:
        return measure_responses(first, options.data_directory)

    if name in ITEMS:
        page, beside = pages.study(ITEMS[name], rows, options.runs, scale=options.scale, measure_responses=responses)
    else:
        page, beside = pages.architectures(table_1())
    if not options.overwrite:
        pages.check(options.output, name)
        pages.check_nothing_lost(options.output, name, beside)
    pages.write(options.output, name, page, beside)
    print(f"\n{page}\n{', '.join(str(file) for file in pages.there(options.output, name))}", flush=True)


def table_1() -> list[Column]:
    """The networks of Table 1, with the shortcuts that the paper's own sizes are of."""
    shortcuts = {depth: RECIPES[f"imagenet-resnet{depth}"].model.shortcut for depth in architectures.IMAGENET}
    return [Column(architectures.imagenet(depth), shortcut) for depth, shortcut in shortcuts.items()]


def measure_responses(first: Mapping[str, RunDirectory], data_directory: str | None) -> dict[str, list[float]]:
    """The responses of the layers of each network."""
    with startup.loading():
        from keras_resnet.inference import trained_network
    responses = {}
    for name, directory in first.items():
        networks = [trained_network.load(directory.path)]
        [layers] = layer_responses.measure(networks, data_directory=data_directory).values()
        responses[name] = [deviation for _, deviation in layers]
    return responses


def plan_in_words(wanted: dict[str, list[list[Attempt]]], runs: KnownRuns, options: Options) -> str:
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


def train_and_measure(item: Item, rows: Sequence[Sequence[Attempt]], options: Options, failed: set[str]) -> int:
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
            words = training_words(training) + more
            words += [] if training.begun else devices  # a run is continued on the devices that it has
            if stopped := attempt_once("train.py", words, training.recipe.fingerprint, failed):
                return stopped
    data = ["--data-directory", options.data_directory] if options.data_directory else []
    for one in unmeasured(item, rows, find_runs(options.runs), options.runs):
        if one.trained and (
            stopped := attempt_once("evaluate.py", [*evaluation_words(one), *data], str(one.file), failed)
        ):
            return stopped
    return 0


def training_words(training: Training) -> list[str]:
    """The words after `train.py` that begin a training, or continue it as it was started."""
    path = str(training.directory.path)
    if training.begun:
        return [path]
    name = training.recipe.name
    changes = axes.flags(training.changes(RECIPES[name])).values()
    return [name, *itertools.chain.from_iterable(changes), "--run.directory", path, "--run.resume"]


def evaluation_words(one: plan.Measurement) -> list[str]:
    """The words after `evaluate.py` that make a measurement."""
    first, *more = (str(member.path) for member in one.members)
    return [first, *(["--ensemble", *more] if more else []), "--view", one.view, "--output", str(one.directory)]


def attempt_once(script: str, words: Sequence[str], what: str, failed: set[str]) -> int:
    """Runs a script unless that failed before; returns its exit status if it was stopped from outside, otherwise 0."""
    if what in failed:
        return 0
    command = [sys.executable, str(SCRIPTS / script), *words]
    print(f"\n$ {shlex.join(command)}", flush=True)
    status = run(command)
    if status in (program.AGAIN, program.INTERRUPTED):
        return status
    if status:
        refusal.show(f"failed with exit status {status}: {shlex.join(command)}")
        failed.add(what)
    return 0


if __name__ == "__main__":
    program.run(main)
