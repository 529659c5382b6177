"""What predict.py and explain.py share: a trained network, and a person's pictures as it sees them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import startup
from refusal import Parser

if TYPE_CHECKING:
    import numpy as np

    from keras_resnet.inference.trained_network import TrainedNetwork

CONVENTIONS = ("torch", "caffe", "tf")


def parser(doc: str) -> argparse.ArgumentParser:
    """A command line that begins with a trained network and pictures."""
    made = network_parser(doc)
    made.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE", help="a JPEG or PNG file, or a folder")
    made.add_argument("--class-names", type=Path, metavar="FILE", help="a text file with the name of a class per line")
    return made


def network_parser(doc: str) -> argparse.ArgumentParser:
    """A command line that begins with a trained network."""
    made = Parser(doc)
    made.add_argument("network", metavar="NETWORK", help="the directory of a finished run, a .keras file, or weights")
    made.add_argument(
        "--preprocessing",
        choices=CONVENTIONS,
        help="how images are normalized for weights that do not say so themselves",
    )
    return made


def read_class_names(file: Path | None) -> tuple[str, ...] | None:
    """The lines of a file.

    Raises:
        ValueError: if it is no text, or has an empty line.
        OSError: if it cannot be read.
    """
    if file is None:
        return None
    try:
        names = tuple(file.read_text(encoding="utf-8").splitlines())
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} must be a text in UTF-8 with the name of a class per line") from error
    if not all(map(str.strip, names)):
        raise ValueError(f"{file} must name a class in every line. A line is empty")
    return names


def load(options: argparse.Namespace) -> TrainedNetwork:
    """The network that a command line names; TensorFlow comes with it.

    Raises:
        ValueError, OSError: if there is none.
    """
    for path in (Path(options.network), *vars(options).get("pictures", ())):
        if not path.exists():
            raise FileNotFoundError(f"There is no file or folder {path}")
    with startup.loading():
        from keras_resnet.inference import trained_network

    return trained_network.load(options.network, options.preprocessing)


def class_names(trained: TrainedNetwork, own: Sequence[str] | None) -> Sequence[str] | None:
    """The names in a person's file, or else those that the network brings along, if it does.

    Raises:
        ValueError: if there is another number of them than of classes.
    """
    classes = trained.network.output_shape[-1]
    if own is not None and len(own) != classes:
        raise ValueError(f"`--class-names` must have {classes} lines, one for each class. Received: {len(own)} lines")
    return trained.class_names if own is None else own


def sees_whole_images(trained: TrainedNetwork) -> bool:
    """Whether evaluation shows a network whole images: those of one size, as CIFAR's, and not crops of photographs."""
    from keras_resnet.facts.datasets import DATASETS

    if trained.recipe is not None:
        return DATASETS[trained.recipe.data.dataset].image_shape is not None
    return trained.network.form.family == "cifar"


def image_shape(trained: TrainedNetwork) -> tuple[int, int, int]:
    """(height, width, channels) of what a network is shown; one of any size is shown what its architecture is for."""
    height, width, channels = trained.network.image_shape
    size = trained.network.form.architecture.image_size
    return height or size, width or size, channels


def seen(
    trained: TrainedNetwork, paths: Sequence[Path], batch_size: int, faults: list[str]
) -> Iterator[tuple[list[Path], np.ndarray]]:
    """Batches of pictures as evaluation sees them; those that cannot be used are named on stderr, and left out.

    Args:
        trained: The network.
        paths: Of the pictures.
        batch_size: The most pictures at a time.
        faults: Is extended by a line for each picture left out.

    Yields:
        (paths, images uint8 [paths, height, width, channels]).
    """
    from keras_resnet.inference import pictures

    see = pictures.viewer(image_shape(trained), whole=sees_whole_images(trained))
    for usable, images, found in pictures.batches(paths, see, batch_size):
        for fault in found:
            print(f"error: {fault}", file=sys.stderr)
        faults += found
        if usable:
            yield usable, images
