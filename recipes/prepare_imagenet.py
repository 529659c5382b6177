"""Make the shards of ImageNet (ILSVRC2012) that training reads.

    python recipes/prepare_imagenet.py SOURCE DESTINATION [--shorter-side 500]
    python recipes/prepare_imagenet.py --verify DESTINATION

SOURCE holds one of
  the archives   ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar
  class folders  train/CLASS/* and validation/CLASS/* (or val/CLASS/*)
  Kaggle's tree  ILSVRC/Data/CLS-LOC/train/CLASS/* and …/val/*
Where the validation images are in no class folders, their labels come from ILSVRC2012_devkit_t12.tar.gz or from
LOC_val_solution.csv in SOURCE. DESTINATION/imagenet2012/5.1.0 becomes a directory of tensorflow-datasets, with a
manifest. After a kill, the same command goes on where it stopped.

Exit status: 0 done, or verified; 1 failed while running, or damage was found; 2 refused, and nothing was changed;
130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import os
import shutil
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import startup
from command_line import fail

if TYPE_CHECKING:
    from keras_resnet.data.preparation import Entry, Plan

TRAIN_TAR, VALIDATION_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
DEVKIT, SOLUTION = "ILSVRC2012_devkit_t12.tar.gz", "LOC_val_solution.csv"
KAGGLE = Path("ILSVRC", "Data", "CLS-LOC")
FULL_SHARDS = {"train": 1024, "validation": 128}
SHARD_BYTES = 135e6
RESIZED = 0.5
"""What is left at most of the bytes of ImageNet by a shorter side of 500 pixels; a guess that errs upwards."""

File = tuple[str, str, int, int]
"""Name of an image; the file that holds it; offset and size there."""


class Parser(argparse.ArgumentParser):
    """Refuses in one line."""

    def error(self, message: str) -> NoReturn:
        fail(f"{message}. --help shows the usage")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepares or verifies; returns the exit status."""
    options = read_options(arguments)
    try:
        if options.verify:
            return verify(options)
        try:
            plan = make_plan(options)
        except tarfile.TarError as error:
            raise ValueError(
                f"An archive in {options.source} is damaged or was not fully downloaded: {error}"
            ) from error
    except (ValueError, OSError) as error:
        fail(error)
    return prepare(plan, options)


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    first, _, rest = __doc__.partition("\n\n")
    parser = Parser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("directories", nargs="*", type=Path, metavar="SOURCE DESTINATION")
    parser.add_argument("--verify", action="store_true", help="read all that was prepared again")
    parser.add_argument("--shorter-side", type=int, help="pixels; larger images are made smaller. Defaults to no limit")
    parser.add_argument("--quality", type=int, default=95, help="of the JPEGs that are made smaller")
    parser.add_argument("--shards", type=int, nargs=2, metavar=("TRAIN", "VALIDATION"), help="number of shards")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="defaults to all cores")
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
    check_destination(options.destination)
    class_names, splits = read_source(options.source)
    check_complete(options, class_names, splits)
    full = all(len(splits[split]) == count for split, count in preparation.FULL.items())
    shards = dict(zip(preparation.SPLITS, options.shards or (), strict=False))
    for split, entries in splits.items():
        size = sum(entry.size for entry in entries)
        usual = FULL_SHARDS[split] if full else max(1, round(size / SHARD_BYTES))
        shards[split] = min(shards.get(split, usual), len(entries))
    plan = preparation.Plan(class_names, splits, shards, options.shorter_side, options.quality)
    directory = prepared_directory(options)
    preparation.check_vacant(plan, directory)
    check_space(options, plan, directory)
    return plan


def prepared_directory(options: argparse.Namespace) -> Path:
    """Where the shards are, or go."""
    from keras_resnet.data import preparation

    return options.destination / preparation.NAME / preparation.VERSION


def check_destination(destination: Path) -> None:
    """Refuses a directory of anything but data sets of tensorflow-datasets, which may lie beside this one."""
    if not destination.exists():
        return
    if not destination.is_dir():
        raise ValueError(f"DESTINATION {destination} is a file")
    for entry in destination.iterdir():
        if entry.name != "imagenet2012" and entry.name[0] != "." and not any(entry.glob("**/dataset_info.json")):
            raise ValueError(f"DESTINATION {destination} holds something else: {entry.name}. Choose an empty directory")


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


def check_space(options: argparse.Namespace, plan: Plan, directory: Path) -> None:
    """Refuses to begin what will not fit."""
    images = [entry for entries in plan.splits.values() for entry in entries]
    needed = sum(entry.size for entry in images) * (RESIZED if plan.shorter_side else 1) + 150 * len(images)
    needed -= sum(file.stat().st_size for file in directory.glob("*.tfrecord-*"))
    existing = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise ValueError(
            f"{options.destination} needs about {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free there. Make "
            "room, choose another DESTINATION, or add --shorter-side 500"
        )


def read_source(source: Path) -> tuple[tuple[str, ...], dict[str, list[Entry]]]:
    """Class names, sorted, and the images of both splits.

    Raises:
        ValueError, OSError: saying what is missing, or wrong.
    """
    from keras_resnet.data.preparation import Entry

    if not source.is_dir() or not any(source.iterdir()):
        raise ValueError(f"SOURCE {source} must be a directory with ImageNet in it. It is missing or empty")
    train, validation = list_archives(source) if has_archives(source) else list_folders(source)
    class_names = tuple(sorted(train))
    if empty := [name for name in class_names if not train[name]] or ([] if train else ["every class"]):
        raise ValueError(
            f"The training split has no images of {empty[0]}. Complete it, or remove that folder or archive"
        )
    if unknown := sorted(set(validation) - set(train)):
        raise ValueError(f"The validation split has classes that the training split has not: {', '.join(unknown[:5])}")
    if not any(validation.values()):
        raise ValueError(f"The validation split in {source} has no images")
    return class_names, {
        split: [Entry(name, label, *where) for label, c in enumerate(class_names) for name, *where in files.get(c, [])]
        for split, files in (("train", train), ("validation", validation))
    }


def has_archives(source: Path) -> bool:
    """Whether the source has the archives, or one of them; then both must be there."""
    missing = [name for name in (TRAIN_TAR, VALIDATION_TAR) if not (source / name).is_file()]
    if len(missing) == 1:
        raise ValueError(f"{source} lacks {missing[0]}, which is beside the other archive on image-net.org")
    return not missing


def list_archives(source: Path) -> tuple[dict[str, list[File]], dict[str, list[File]]]:
    """The images of each class in both archives, which stay as they are."""
    labels = read_labels(source, f"{source / VALIDATION_TAR} has no labels in it")
    train = {}
    print(f"reading the contents of {source / TRAIN_TAR} …", flush=True)
    with tarfile.open(source / TRAIN_TAR, "r:") as outer:
        for member in outer:
            if member.isfile() and member.name.endswith(".tar"):
                with tarfile.open(fileobj=outer.extractfile(member), mode="r:") as inner:
                    train[Path(member.name).stem] = list(members(inner, source / TRAIN_TAR, member.offset_data))
    with tarfile.open(source / VALIDATION_TAR, "r:") as archive:
        return train, by_label(members(archive, source / VALIDATION_TAR), labels)


def members(archive: tarfile.TarFile, file: Path, start: int = 0) -> Iterator[File]:
    """The files in an archive, which begins at an offset of a file."""
    for member in archive:
        if member.isfile():
            yield Path(member.name).name, str(file), start + member.offset_data, member.size


def list_folders(source: Path) -> tuple[dict[str, list[File]], dict[str, list[File]]]:
    """The images of each class in class folders; the validation images may lie together."""
    root = source / KAGGLE if (source / KAGGLE).is_dir() else source
    train = root / "train"
    validation = next((root / name for name in ("validation", "val") if (root / name).is_dir()), None)
    if not train.is_dir() and validation is None:
        raise ValueError(f"{source} holds neither {TRAIN_TAR}, nor train/CLASS/*, nor {KAGGLE}. --help describes these")
    if not train.is_dir() or validation is None:
        raise ValueError(f"{root} lacks the split {'train' if validation else 'validation (or val)'}")
    folders = class_folders(validation)
    if loose := list(files_in(validation)):
        if folders:
            raise ValueError(f"{validation} holds class folders and, beside them, {loose[0][0]}. Move it away")
        return class_folders(train), by_label(loose, read_labels(source, f"{validation} has no class folders"))
    return class_folders(train), folders


def class_folders(directory: Path) -> dict[str, list[File]]:
    """The files in each folder."""
    folders = (path for path in directory.iterdir() if path.is_dir() and path.name[0] != ".")
    return {folder.name: list(files_in(folder)) for folder in folders}


def files_in(folder: Path) -> Iterator[File]:
    """All files but hidden ones: whether they are images, their content decides."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file() and entry.name[0] != ".":
                yield entry.name, entry.path, 0, entry.stat().st_size


def by_label(files: Iterator[File] | Sequence[File], labels: dict[str, str]) -> dict[str, list[File]]:
    """Images that lie together, by class."""
    found: dict[str, list[File]] = {}
    for file in files:
        name = Path(file[0]).stem
        if name not in labels:
            raise ValueError(f"The labels of the validation images say nothing of {file[0]}. Are they of ILSVRC2012?")
        found.setdefault(labels[name], []).append(file)
    return found


def read_labels(source: Path, reason: str) -> dict[str, str]:
    """The class of every validation image, by its name without the suffix."""
    if (source / SOLUTION).is_file():
        with (source / SOLUTION).open(newline="", encoding="utf-8") as file:
            try:
                return {row["ImageId"]: row["PredictionString"].split()[0] for row in csv.DictReader(file)}
            except (KeyError, AttributeError, IndexError) as error:
                raise ValueError(f"{file.name} must have the columns ImageId,PredictionString") from error
    if not (source / DEVKIT).is_file():
        raise ValueError(f"{reason}: add {DEVKIT} (image-net.org) or {SOLUTION} (Kaggle) to {source}")
    if importlib.util.find_spec("scipy") is None:
        raise ValueError(f"Reading {DEVKIT} needs SciPy: pip install scipy, or add {SOLUTION}")
    return read_devkit(source / DEVKIT)


def read_devkit(file: Path) -> dict[str, str]:
    """The same from the development kit."""
    from scipy.io import loadmat

    with tarfile.open(file) as kit:
        parts = {Path(member.name).name: member for member in kit if member.isfile()}
        try:
            synsets = loadmat(kit.extractfile(parts["meta.mat"]), squeeze_me=True)["synsets"]
            lines = kit.extractfile(parts["ILSVRC2012_validation_ground_truth.txt"]).read().split()
            names = {int(synset["ILSVRC2012_ID"]): str(synset["WNID"]) for synset in synsets.ravel()}
            return {f"ILSVRC2012_val_{number:08d}": names[int(line)] for number, line in enumerate(lines, 1)}
        except (KeyError, IndexError) as error:
            raise ValueError(f"{file} is not the development kit of ILSVRC2012: {error} is not in it") from error


def prepare(plan: Plan, options: argparse.Namespace) -> int:
    """Does it; returns the exit status."""
    from keras_resnet.data import preparation

    total = sum(plan.shards.values())
    try:
        manifest = preparation.prepare(
            plan,
            prepared_directory(options),
            workers=options.workers,
            allow_unreadable=options.allow_unreadable,
            start_worker=load_tensorflow,
            progress=Progress(total),
        )
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from the finished shards", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
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

    directory = prepared_directory(options)
    shards = len(list(directory.glob("*.tfrecord-*")))
    problems = preparation.verify(
        directory, workers=options.workers, start_worker=load_tensorflow, progress=Progress(shards)
    )
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    print(f"{len(problems)} problems" if problems else "all shards are whole, and every image decodes")
    return 1 if problems else 0


def load_tensorflow() -> None:
    """Makes a worker ready: one thread each, and no GPU, whose memory the first process to see it would take."""
    with startup.quiet():
        import tensorflow as tf

        tf.config.set_visible_devices([], "GPU")
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)


class Progress:
    """One line: rewritten on a terminal, now and then in a file."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.images, self.written = total, 0, 0, 0
        self.began = self.shown = time.monotonic()

    def __call__(self, record: dict[str, Any], new: bool) -> None:
        self.done += 1
        self.images += record["images"]
        self.written += record["images"] * new
        now = time.monotonic()
        last = self.done == self.total
        if not (last or now - self.shown > (0.2 if sys.stdout.isatty() else 30)):
            return
        self.shown = now
        rate = self.written / (now - self.began)
        line = f"{self.done:,} of {self.total:,} shards, {self.images:,} images, {rate:,.0f} images/s"
        print(f"\r\x1b[K{line}" if sys.stdout.isatty() else line, end="\n" if last or not sys.stdout.isatty() else "")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
