"""Find what a trained network mistakes for what, on every image of a split.

    python recipes/mistakes.py runs/digits                                                  a run, on its own data
    python recipes/mistakes.py resnet20.th --preprocessing torch --dataset cifar10 --data-directory DIR --output errors

Prints the worst classes and the most frequent confusions, and writes to OUTPUT all of them:

    confusion.csv and .png   images by true class (rows) and predicted class (columns)
    classes.csv              the error of each class, the worst first
    confusions.csv           true class, predicted class and images, the most frequent first

Files that are there already are refused, unless --overwrite is added.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import labelled_images
import own_pictures
import refusal
from keras_resnet import validation
from keras_resnet.facts.datasets import DATASETS
from keras_resnet.host import files

if TYPE_CHECKING:
    import numpy as np

    from keras_resnet.data.datasets.loading import Data
    from keras_resnet.inference.trained_network import TrainedNetwork

FILES = ("confusion.csv", "confusion.png", "classes.csv", "confusions.csv")
SHOWN = 10
"""Rows that are printed of a table."""
REMEDY = "Make room there or allow it, or choose another --output"


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints and writes what is mistaken; returns the exit status: 0 done, 2 refused."""
    return refusal.answer(find_mistakes, parser().parse_args(arguments))


def find_mistakes(options: argparse.Namespace) -> int:
    """Counts, writes, and prints."""
    check_output(options.output, overwrite=options.overwrite)
    trained = own_pictures.load(options)
    data = load_data(trained, options)
    counts = count(trained, data, options)
    title = f"{trained.source.absolute().name}, {options.split} images"
    contents = tables(counts, data.class_names) | {"confusion.png": picture(counts, data.class_names, title)}
    with files.naming_file(options.output, REMEDY):
        options.output.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        files.write(options.output / name, contents[name], REMEDY)
    print(f"{summary(counts, data.class_names)}\n\nall of it is in {options.output}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = own_pictures.network_parser(__doc__)
    made.add_argument("--dataset", choices=DATASETS, help="(default: that of the run)")
    made.add_argument("--data-directory", metavar="DIR", help="where the data set lies (default: that of the run)")
    made.add_argument("--holdout", type=int, help="training images kept for validation (default: the run's, or 0)")
    made.add_argument("--split", choices=("train", "validation", "test"), default="validation")
    made.add_argument("--output", type=Path, default=Path("mistakes"), metavar="DIR", help="(default: %(default)s)")
    made.add_argument("--batch-size", type=refusal.at_least_one, default=100, help="(default: %(default)s)")
    made.add_argument("--overwrite", action="store_true", help="replace files that are there already")
    return made


def check_output(output: Path, *, overwrite: bool) -> None:
    """Refuses to replace files unasked, before anything takes long."""
    if output.exists() and not output.is_dir():
        raise NotADirectoryError(f"{output} is a file. Choose another --output")
    there = [name for name in FILES if (output / name).exists()]
    if there and not overwrite:
        raise FileExistsError(f"{output} has {', '.join(there)} already. Choose another --output, or add --overwrite")


def load_data(trained: TrainedNetwork, options: argparse.Namespace) -> Data:
    """The splits of the data set, as the run divided it.

    Raises:
        ValueError, OSError: if there is no such split, or `labelled_images.load` refuses.
    """
    data = labelled_images.load(trained, options.dataset, options.data_directory, options.holdout)
    if options.split not in data.splits:
        validation.refuse("--split", f"one of {', '.join(data.splits)}", options.split)
    return data


def count(trained: TrainedNetwork, data: Data, options: argparse.Namespace) -> np.ndarray:
    """int64 [true classes, predicted classes] of a split."""
    from keras_resnet.analysis import confusion
    from keras_resnet.data.batches import evaluation_batches
    from keras_resnet.data.datasets import loading

    split = data.splits[options.split]
    print(f"{split.size:,} {options.split} images ({split.view}) …", flush=True)
    with loading.naming_damaged_images(data):
        return confusion.matrix(trained.network, evaluation_batches(split, batch_size=options.batch_size), split.size)


def tables(counts: np.ndarray, names: Sequence[str]) -> dict[str, bytes]:
    """The CSV files by name."""
    from keras_resnet.analysis import confusion

    by_class, most_frequent = confusion.by_class(counts), confusion.most_frequent(counts)
    return {
        "confusion.csv": as_csv(["true class", *names], ([n, *row] for n, row in zip(names, counts, strict=True))),
        "classes.csv": as_csv(
            ["class", "images", "wrong", "error (%)"],
            ([names[row.label], row.images, row.wrong, f"{row.error:.2f}"] for row in by_class),
        ),
        "confusions.csv": as_csv(
            ["true class", "predicted class", "images"],
            ([names[true], names[seen], number] for true, seen, number in most_frequent),
        ),
    }


def as_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


def picture(counts: np.ndarray, names: Sequence[str], title: str) -> bytes:
    """The confusion matrix, drawn."""
    from keras_resnet.analysis import confusion_figure

    return confusion_figure.draw(counts, names, title)


def summary(counts: np.ndarray, names: Sequence[str]) -> str:
    """The worst classes and the most frequent confusions, to be read."""
    from keras_resnet.analysis import confusion

    images, wrong = counts.sum(), counts.sum() - counts.trace()
    worst = [row for row in confusion.by_class(counts) if row.wrong][:SHOWN]
    frequent = confusion.most_frequent(counts)[:SHOWN]
    lines = [f"top-1 error {100 * wrong / images:.2f}%: {wrong:,} of {images:,} images"]
    if worst:
        width = max(len("worst classes"), len("true class"), *map(len, names))
        lines += ["", f"{'worst classes':{width}}  {'wrong':>7}  {'images':>7}  {'error':>7}"]
        lines += [f"{names[row.label]:{width}}  {row.wrong:7,}  {row.images:7,}  {row.error:6.2f}%" for row in worst]
        lines += ["", f"{'true class':{width}}  {'taken for':{width}}  {'images':>7}"]
        lines += [f"{names[true]:{width}}  {names[seen]:{width}}  {number:7,}" for true, seen, number in frequent]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
