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

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cli import command_line, pictures, program, startup
from cli.options import OfNetwork, OfOverwriting, OfSplit
from keras_resnet import validation
from keras_resnet.host import files, outputs
from keras_resnet.host.printable import printable
from keras_resnet.inference import labelled_images

if TYPE_CHECKING:
    import numpy as np

    from keras_resnet.data.datasets.loading import Data
    from keras_resnet.inference.trained_network import TrainedNetwork

FILES = ("confusion.csv", "confusion.png", "classes.csv", "confusions.csv")
SHOWN = 10
"""Rows that are printed of a table."""


@dataclass(frozen=True, kw_only=True)
class Options(OfNetwork, OfSplit, OfOverwriting):
    """Options of this program."""

    output: Path = Path("mistakes")
    """The directory for the files."""
    batch_size: int = 100
    """Images at a time."""

    def _check(self) -> None:
        self._at_least(1, "batch_size")


FLAGS = command_line.flags_by_argument(Options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints and writes what is mistaken; returns the exit status: 0 done, 2 refused."""
    return program.answer(find_mistakes, command_line.read(Options, __doc__, arguments), flags=FLAGS)


def find_mistakes(options: Options) -> int:
    """Counts, writes, and prints."""
    outputs.check_directory(options.output)
    outputs.check_vacant([options.output / name for name in FILES], overwrite=options.overwrite)
    trained = pictures.load(options)
    data = load_data(trained, options)
    counts = count(trained, data, options)
    title = f"{trained.source.absolute().name}, {options.split} images"
    contents = tables(counts, data.class_names) | {"confusion.png": picture(counts, data.class_names, title)}
    with files.naming_file(options.output, outputs.remedy()):
        options.output.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        files.write(options.output / name, contents[name], outputs.remedy())
    print(f"{printable(summary(counts, data.class_names))}\n\nall of it is in {options.output}")
    return 0


def load_data(trained: TrainedNetwork, options: Options) -> Data:
    """The splits of the data set, as the run divided it.

    Raises:
        ValueError, OSError: if there is no such split, or `labelled_images.load` refuses.
    """
    data = labelled_images.load(trained, options.dataset, options.data_directory, options.holdout, tell=startup.tell)
    if options.split not in data.splits:
        validation.refuse("split", f"one of {', '.join(data.splits)}", options.split)
    return data


def count(trained: TrainedNetwork, data: Data, options: Options) -> np.ndarray:
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
    program.run(main)
