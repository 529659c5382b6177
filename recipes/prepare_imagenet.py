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

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import startup
from keras_resnet.host import processors
from refusal import Parser, refuse
from shard_progress import Progress

if TYPE_CHECKING:
    from keras_resnet.data.preparation import Entry, Plan

FULL_SHARDS = {"train": 1024, "validation": 128}
SHARD_BYTES = 135e6


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepares or verifies; returns the exit status."""
    options = read_options(arguments)
    try:
        return verify(options) if options.verify else prepare(options)
    except KeyboardInterrupt:
        more = "" if options.verify else "; the same command goes on from the finished shards"
        print(f"\nstopped{more}", file=sys.stderr)
        return 130


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(__doc__)
    parser.add_argument("directories", nargs="*", type=Path, metavar="SOURCE DESTINATION")
    parser.add_argument("--verify", action="store_true", help="read all that was prepared again")
    parser.add_argument("--shorter-side", type=int, help="pixels; larger images are made smaller. Defaults to no limit")
    parser.add_argument("--quality", type=int, default=95, help="of the JPEGs that are made smaller")
    parser.add_argument("--shards", type=int, nargs=2, metavar=("TRAIN", "VALIDATION"), help="number of shards")
    parser.add_argument("--workers", type=int, default=processors.count(), help="defaults to all cores")
    parser.add_argument("--allow-unreadable", action="store_true", help="leave unusable images out, and list them")
    parser.add_argument("--allow-incomplete", action="store_true", help="accept 1,000 classes with images missing")
    options = parser.parse_args(arguments)
    for name, lowest, highest in (("shorter_side", 1, 65_535), ("quality", 1, 100), ("workers", 1, 1024)):
        value = getattr(options, name)
        if value is not None and not lowest <= value <= highest:
            parser.error(f"--{name.replace('_', '-')} must be from {lowest} to {highest:,}. Received: {value}")
    if options.shards and min(options.shards) < 1:
        parser.error(f"--shards must be at least 1. Received: {options.shards}")
    if len(options.directories) not in ((1, 2) if options.verify else (2,)):
        parser.error("two directories are needed, SOURCE and DESTINATION (with --verify, DESTINATION alone)")
    options.source, options.destination = options.directories[0], options.directories[-1]
    return options


def make_plan(options: argparse.Namespace) -> Plan:
    """What is to be done; refuses what cannot be, and writes nothing.

    Raises:
        ValueError, OSError: saying what to change.
    """
    from keras_resnet.data import preparation

    source, destination = options.source.resolve(), options.destination.resolve()
    if destination.is_relative_to(source):
        raise ValueError(f"DESTINATION must lie outside SOURCE. Received: {options.destination} in {options.source}")
    if options.shorter_side and importlib.util.find_spec("PIL") is None:
        raise ValueError("--shorter-side needs Pillow: pip install pillow")
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


def check_complete(options: argparse.Namespace, class_names: Sequence[str], splits: dict[str, list[Entry]]) -> None:
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


def prepare(options: argparse.Namespace) -> int:
    """Does it; returns the exit status."""
    from keras_resnet.data import preparation

    try:
        plan = make_plan(options)
    except (ValueError, OSError) as error:
        refuse(error)
    progress = Progress(sum(plan.shards.values()))
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
        print(f"error: {error}", file=sys.stderr)
        return 1
    progress.end()
    print(summary(manifest))
    return 0


def summary(manifest: dict[str, Any]) -> str:
    """What was made, in a few lines."""
    counts = ", ".join(f"{count:,} {split} images" for split, count in manifest["images"].items())
    state = "the complete ILSVRC2012" if manifest["complete"] else "not the complete ILSVRC2012 (1,281,167 and 50,000)"
    lines = [f"{counts} of {manifest['classes']:,} classes: {state}"]
    lines += [f"  repaired: {image['name']} (was {image['was']})" for image in manifest["repaired"]]
    lines += [f"  left out: {image['name']} ({image['reason']})" for image in manifest["refused"]]
    if manifest["shorter_side"]:
        lines.append(f"  made smaller: {manifest['resized']:,} images")
    return "\n".join(lines)


def verify(options: argparse.Namespace) -> int:
    """Reads everything again; returns the exit status."""
    from keras_resnet.data import preparation

    directory = preparation.directory_in(options.destination)
    try:
        shards = preparation.read_manifest(directory)["shards"]
    except (ValueError, OSError) as error:
        refuse(error)
    progress = Progress(sum(map(len, shards.values())))
    try:
        problems = preparation.verify(
            directory, workers=options.workers, start_worker=load_tensorflow, progress=progress
        )
    except (ValueError, OSError) as error:
        problems = [str(error)]
    progress.end()
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
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
    print(f"{line} …", flush=True)


def load_tensorflow() -> None:
    """Makes a worker ready: one thread each, and no GPU, whose memory the first process to see it would take."""
    with startup.loading():
        import tensorflow as tf

        tf.config.set_visible_devices([], "GPU")
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
