"""Find what a trained network mistakes for what, on every image of a split.

    python recipes/mistakes.py runs/digits                                                  a run, on its own data
    python recipes/mistakes.py resnet20.th --preprocessing torch --dataset cifar10 --data-directory DIR --output errors

Prints the worst classes, the most frequent confusions and the surest mistakes, and writes to OUTPUT all of them:

    confusion.csv and .png   images by true class (rows) and predicted class (columns)
    classes.csv              the error of each class, the worst first
    confusions.csv           true class, predicted class and images, the most frequent first
    mistakes.csv and .png    each mistaken image, its classes and their scores, the surest first; the first 20 drawn

An image is named by its file, where it has one, or else by its number in the split, from 0 on.

Files that are there already are refused, unless --overwrite is added.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cli import command_line, pictures, program, startup
from cli.options import OfNetwork, OfOverwriting, OfSplit
from keras_resnet import validation
from keras_resnet.host import files, outputs
from keras_resnet.host.texts import printable, readable
from keras_resnet.inference import labelled_images
from keras_resnet.runs.directory import RunDirectory

if TYPE_CHECKING:
    import numpy as np

    from keras_resnet.analysis.confusion import Classified
    from keras_resnet.data.datasets.loading import Data
    from keras_resnet.data.splits import Split
    from keras_resnet.inference.trained_network import TrainedNetwork

FILES = ("confusion.csv", "confusion.png", "classes.csv", "confusions.csv", "mistakes.csv", "mistakes.png")
SHOWN = 10
"""Rows that are printed of a table."""


class Mistake(NamedTuple):
    """An image that is mistaken."""

    index: int
    """In the split."""
    image: str
    """Its file, or else the index."""
    label: int
    predicted: int
    score: float
    """Of the predicted class, 0 to 1."""
    label_score: float
    """Of the true class."""


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
    if not RunDirectory(Path(options.network)).recipe.is_file() and Path(options.network).exists():
        labelled_images.require(options.network, options.preprocessing, dataset=options.dataset)
    trained = pictures.load(options)
    data = load_data(trained, options)
    found = classify(trained, data, options)
    names = tuple(map(readable, data.class_names))
    counts, mistakes = found.counts(len(names)), listed(found, data.splits[options.split])
    title = f"{trained.source.absolute().name}, {options.split} images"
    contents = tables(counts, data.class_names) | {
        "confusion.png": picture(counts, names, title),
        "mistakes.csv": mistakes_table(mistakes, data.class_names),
        "mistakes.png": mistakes_picture(mistakes, data.splits[options.split], names, title),
    }
    with files.naming_file(options.output, outputs.remedy()):
        options.output.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        files.write(options.output / name, contents[name], outputs.remedy())
    told = f"{summary(counts, names)}{mistakes_summary(mistakes, names)}\n\nall of it is in {options.output}"
    print(printable(told))
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


def classify(trained: TrainedNetwork, data: Data, options: Options) -> Classified:
    """What the network makes of each image of the split."""
    from keras_resnet.analysis import confusion
    from keras_resnet.data import roads
    from keras_resnet.data.datasets import loading

    split = data.splits[options.split]
    print(f"{split.size:,} {options.split} images ({split.view}) …", flush=True)
    made = roads.closing(roads.current().evaluation_batches(split, batch_size=options.batch_size))
    with loading.naming_damaged_images(data), made as batches:
        return confusion.classify(trained.network, batches, split.size)


def listed(found: Classified, split: Split) -> list[Mistake]:
    """The images that are mistaken, the surest mistake first."""
    return [
        Mistake(
            int(index),
            split.image_files[index] if split.image_files else str(index),
            int(found.labels[index]),
            int(found.predicted[index]),
            float(found.scores[index]),
            float(found.label_scores[index]),
        )
        for index in found.mistakes()
    ]


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


def mistakes_table(mistakes: Iterable[Mistake], names: Sequence[str]) -> bytes:
    """The list of mistaken images as CSV."""
    return as_csv(
        ["image", "true class", "predicted class", "score of the predicted class", "score of the true class"],
        ([m.image, names[m.label], names[m.predicted], f"{m.score:.4f}", f"{m.label_score:.4f}"] for m in mistakes),
    )


def as_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A CSV file. Where it is not ASCII alone, a byte order mark tells spreadsheets that it is UTF-8."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([header, *rows])
    content = stream.getvalue()
    return content.encode("utf-8" if content.isascii() else "utf-8-sig", errors="backslashreplace")


def picture(counts: np.ndarray, names: Sequence[str], title: str) -> bytes:
    """The confusion matrix, drawn."""
    from keras_resnet.analysis import confusion_figure

    return confusion_figure.draw(counts, names, title)


def mistakes_picture(mistakes: Sequence[Mistake], split: Split, names: Sequence[str], title: str) -> bytes:
    """The surest mistakes, drawn as the network sees them."""
    from keras_resnet.analysis import mistakes_figure

    shown = mistakes[: mistakes_figure.SHOWN]
    captions = [
        f"{short(readable(Path(m.image).name))}\n{short(names[m.label])}\n"
        f"taken for {short(names[m.predicted])}, {100 * m.score:.1f}%"
        for m in shown
    ]
    some = f", the surest {len(shown)}" if len(shown) < len(mistakes) else ""
    return mistakes_figure.draw(
        pixels(split, [m.index for m in shown]),
        captions,
        f"{title}: {len(mistakes):,} mistake{'s' * (len(mistakes) != 1)}{some}",
    )


def short(name: str) -> str:
    """A name with its end left out, where it would run into the next column."""
    return name if len(name) <= 24 else f"{name[:23]}…"


def pixels(split: Split, indices: Sequence[int]) -> list[np.ndarray]:
    """Some images of a split, uint8 [height, width, channels] each, as evaluation shows them."""
    import numpy as np

    from keras_resnet.data import roads

    found = []
    for index in map(int, indices):
        with roads.closing(roads.current().evaluation_batches(split.part(index, index + 1), batch_size=1)) as batches:
            [(images, _)] = batches
        found.append(np.asarray(images)[0])
    return found


def mistakes_summary(mistakes: Sequence[Mistake], names: Sequence[str]) -> str:
    """The surest mistakes, to be read; nothing where there are none."""
    if not mistakes:
        return ""
    rows = [
        (
            readable(m.image),
            names[m.label],
            names[m.predicted],
            f"{100 * m.score:.2f}%",
            f"{100 * m.label_score:.2f}%",
        )
        for m in mistakes[:SHOWN]
    ]
    head = ("surest mistakes", "true class", "taken for", "score", "of the true class")
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]
    return "\n".join(["\n", *lines])


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
