"""Print what a trained network sees in pictures.

    python recipes/predict.py runs/digits cat.jpg                                    a run, and a file
    python recipes/predict.py resnet50.pth pictures/ --preprocessing torch --top 1   weights, and a folder
    python recipes/predict.py runs/digits pictures/ --json                           for programs

A folder is searched at any depth for JPEG, PNG, WebP, BMP and GIF files; others are counted and left out, hidden ones
without a word. A picture is turned as its file says (EXIF), and seen as evaluation sees it: the center crop of a
photograph, or for networks of CIFAR and digits the largest square in the middle, resized.

Exit status: 0 done; 1 done but for pictures that cannot be used, named on stderr; 2 refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cli import command_line, pictures, program
from cli.options import OfPictures
from keras_resnet.host.files import as_json
from keras_resnet.host.texts import readable

if TYPE_CHECKING:
    from keras_resnet.inference.trained_network import TrainedNetwork

Prediction = tuple[int, str, float]
"""Class, name (the number again where there are no names), and score from 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Options(OfPictures):
    """Options of this program."""

    top: int = 5
    """Classes per picture."""
    json: bool = False
    """Print a list of objects instead of a table."""
    batch_size: int = 32
    """Pictures at a time."""

    def _check(self) -> None:
        self._at_least(1, "top", "batch_size")


FLAGS = command_line.flags_by_argument(Options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the predictions; returns the exit status."""
    return program.answer(predict, command_line.read(Options, __doc__, arguments), flags=FLAGS)


def predict(options: Options) -> int:
    """Prints what the network sees."""
    own_names = pictures.read_class_names(options.class_names)
    trained = pictures.load(options, options.pictures)
    names = pictures.class_names(trained, own_names)
    paths = pictures.find(options.pictures)
    faults: list[str] = []
    found = predictions(trained, paths, names, options.top, options.batch_size, faults)
    if options.json:
        print(as_json([as_object(*each) for each in found]).decode(), end="")
    else:
        for each in found:
            print(as_table(*each), flush=True)
    return 1 if faults else 0


def predictions(
    trained: TrainedNetwork,
    paths: list[Path],
    names: Sequence[str] | None,
    top: int,
    batch_size: int,
    faults: list[str],
) -> Iterator[tuple[Path, list[Prediction]]]:
    """The best classes of every picture that can be used; a line in `faults` for each of the others.

    Raises:
        ValueError: if a score is not a number.
    """
    import keras
    import numpy as np

    from keras_resnet.models import compiled
    from keras_resnet.models.preprocessing import decode_predictions

    scores = compiled.of_images(trained.network, keras.ops.softmax)
    for usable, batch in pictures.batches(trained, paths, batch_size, faults):
        found = scores(batch)
        if not np.isfinite(found).all():
            raise ValueError(f"{trained.source} is a broken network: its scores are not numbers")
        yield from zip(usable, decode_predictions(found, names, top), strict=True)


def as_table(path: Path, best: list[Prediction]) -> str:
    """The predictions of a picture, one on a line."""
    return "\n".join([readable(path), *(f"  {100 * score:6.2f}%  {readable(name)}" for _, name, score in best)])


def as_object(path: Path, best: list[Prediction]) -> dict[str, object]:
    """The predictions of a picture, for JSON."""
    scores = [{"class": number, "name": name, "score": score} for number, name, score in best]
    return {"file": str(path), "scores": scores}


if __name__ == "__main__":
    program.run(main)
