"""Make the shards of ImageNet (ILSVRC2012) that training reads.

    python recipes/prepare_imagenet.py SOURCE DESTINATION [--shorter-side 500]
    python recipes/prepare_imagenet.py --verify DESTINATION

SOURCE holds one of
  the archives   ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar
  class folders  train/CLASS/* and validation/CLASS/* (or val/CLASS/*)
  Kaggle's tree  ILSVRC/Data/CLS-LOC/train/CLASS/* and …/val/*
Where the validation images are in no class folders, their labels come from ILSVRC2012_devkit_t12.tar.gz or from
LOC_val_solution.csv in SOURCE. DESTINATION/imagenet2012/5.1.0 becomes a directory of tensorflow-datasets, with a
manifest. After a kill, the same command goes on where it stopped; of a finished preparation,
it makes lost shards again.

Exit status: 0 done, or verified; 1 failed while running, or damage was found; 2 refused, and nothing was changed;
130 Ctrl-C.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from cli import command_line, program, refusal, startup
from cli.options import Options as AnyOptions
from cli.progress import ShardProgress
from keras_resnet import validation
from keras_resnet.host import processors, texts

if TYPE_CHECKING:
    from keras_resnet.data.preparation import Entry, Plan

FULL_SHARDS = {"train": 1024, "validation": 128}
SHARD_BYTES = 135e6


@dataclass(frozen=True, kw_only=True)
class Options(AnyOptions):
    """Options of this program."""

    directories: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="SOURCE DESTINATION", help_behavior_hint="(required)")
    ]
    """With --verify, DESTINATION alone."""
    verify: bool = False
    """Read all that was prepared again."""
    shorter_side: int | None = None
    """Pixels; larger images are made smaller. None: no limit."""
    quality: int = 95
    """Of the JPEGs that are made smaller."""
    shards: tuple[int, ...] = ()
    """Numbers of shards, of the training and of the validation images."""
    workers: int = processors.count()
    """Processes; all cores if not given."""
    allow_unreadable: bool = False
    """Leave unusable images out, and list them."""
    allow_incomplete: bool = False
    """Accept 1,000 classes with images missing."""

    def _check(self) -> None:
        for name, lowest, highest in (("shorter_side", 1, 65_535), ("quality", 1, 100), ("workers", 1, 1024)):
            if (value := getattr(self, name)) is not None and not lowest <= value <= highest:
                validation.refuse(name, f"from {lowest} to {highest:,}", value)
        if self.shards and (len(self.shards) != 2 or min(self.shards) < 1):
            validation.refuse("shards", "two numbers of at least 1, for training and validation", self.shards)
        if len(self.directories) not in ((1, 2) if self.verify else (2,)):
            raise ValueError("two directories are needed, SOURCE and DESTINATION (with --verify, DESTINATION alone)")

    @property
    def source(self) -> Path:
        """What is read."""
        return self.directories[0]

    @property
    def destination(self) -> Path:
        """Where the shards are."""
        return self.directories[-1]


FLAGS = command_line.flags_by_argument(Options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepares or verifies; returns the exit status."""
    options = command_line.read(Options, __doc__, arguments)
    try:
        return verify(options) if options.verify else prepare(options)
    except KeyboardInterrupt:
        more = "" if options.verify else "; the same command goes on from the finished shards"
        print(f"\nstopped{more}", file=sys.stderr)
        return program.INTERRUPTED


def make_plan(options: Options) -> Plan:
    """The plan of a preparation; writes nothing.

    Raises:
        ValueError, OSError: saying what to change.
    """
    from keras_resnet.data import preparation

    source, destination = options.source.resolve(), options.destination.resolve()
    if destination.is_relative_to(source):
        raise ValueError(f"DESTINATION must lie outside SOURCE. Received: {options.destination} in {options.source}")
    if options.shorter_side and importlib.util.find_spec("PIL") is None:
        raise ValueError("`shorter_side` needs Pillow: pip install pillow")
    preparation.check_destination(options.destination)
    class_names, splits = preparation.read_source(options.source, tell)
    check_complete(options, class_names, splits)
    full = all(len(splits[split]) == count for split, count in preparation.FULL.items())
    shards = dict(zip(splits, options.shards or (), strict=False))
    for split, entries in splits.items():
        size = sum(entry.size for entry in entries)
        usual = FULL_SHARDS[split] if full else max(1, round(size / SHARD_BYTES))
        shards[split] = min(shards.get(split, usual), len(entries))
    plan = preparation.Plan(class_names, splits, shards, options.shorter_side, options.quality)
    directory = preparation.directory_in(options.destination)
    preparation.check_vacant(plan, directory)
    preparation.check_space(plan, directory)
    return plan


def check_complete(options: Options, class_names: Sequence[str], splits: dict[str, list[Entry]]) -> None:
    """Refuses a source with all classes of ILSVRC2012, and not all of its images."""
    from keras_resnet.data import preparation

    if len(class_names) != preparation.FULL_CLASSES or options.allow_incomplete:
        return
    wrong = [
        f"{len(splits[split]):,} {split} images instead of {count:,}"
        for split, count in preparation.FULL.items()
        if len(splits[split]) != count
    ]
    if wrong:
        raise ValueError(
            f"{options.source} has the 1,000 classes of ILSVRC2012, but {' and '.join(wrong)}. Complete it, or add "
            "--allow-incomplete"
        )


def prepare(options: Options) -> int:
    """Makes the shards; returns the exit status."""
    from keras_resnet.data import preparation

    try:
        plan = make_plan(options)
    except (ValueError, OSError) as error:
        refusal.refuse(error, FLAGS)
    progress = ShardProgress(sum(plan.shards.values()))
    try:
        manifest = preparation.prepare(
            plan,
            preparation.directory_in(options.destination),
            workers=options.workers,
            allow_unreadable=options.allow_unreadable,
            start_worker=load_tensorflow,
            progress=progress,
        )
    except (ValueError, OSError) as error:
        progress.end()
        refusal.show(error, FLAGS)
        return 1
    progress.end()
    print(texts.printable(summary(manifest)))
    return 0


def summary(manifest: dict[str, Any]) -> str:
    """What was made, in a few lines."""
    counts = ", ".join(f"{count:,} {split} images" for split, count in manifest["images"].items())
    state = "the complete ILSVRC2012" if manifest["complete"] else "not the complete ILSVRC2012 (1,281,167 and 50,000)"
    lines = [f"{counts} of {manifest['classes']:,} classes: {state}"]
    lines += [f"  repaired: {image['name']} (was {image['was']})" for image in manifest["repaired"]]
    lines += [f"  left out: {image['name']} ({image['reason']})" for image in manifest["refused"]]
    lines += [f"  decoded all the same: {image['name']} ({image['says']})" for image in manifest.get("complaints", [])]
    if manifest["shorter_side"]:
        lines.append(f"  made smaller: {manifest['resized']:,} images")
    return "\n".join(lines)


def verify(options: Options) -> int:
    """Reads everything again; returns the exit status."""
    from keras_resnet.data import preparation

    directory = preparation.directory_in(options.destination)
    try:
        shards = preparation.read_manifest(directory)["shards"]
    except (ValueError, OSError) as error:
        refusal.refuse(error, FLAGS)
    progress = ShardProgress(sum(map(len, shards.values())))
    try:
        problems = preparation.verify(
            directory, workers=options.workers, start_worker=load_tensorflow, progress=progress
        )
    except (ValueError, OSError) as error:
        problems = [str(error)]
    progress.end()
    for problem in problems:
        refusal.show(problem, FLAGS)
    if problems:
        print(
            f"{len(problems)} problems. To make damaged shards again, remove them, and give the command that prepared "
            "them once more"
        )
    else:
        print("all shards are whole, and every image decodes")
    return 1 if problems else 0


def tell(line: str) -> None:
    """Says what is being done, also where the output goes to a file."""
    print(f"{texts.printable(line)} …", flush=True)


def load_tensorflow() -> None:
    """Makes a worker ready: one thread each, and no GPU, whose memory the first process to see it would take."""
    with startup.loading():
        import tensorflow as tf

        tf.config.set_visible_devices([], "GPU")
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)


if __name__ == "__main__":
    program.run(main)
