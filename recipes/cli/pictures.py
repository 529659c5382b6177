"""Trained networks and a person's pictures, as predict.py and explain.py name them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli import refusal, startup
from cli.options import OfNetwork
from keras_resnet.host import texts

if TYPE_CHECKING:
    import numpy as np

    from keras_resnet.inference.trained_network import TrainedNetwork


def load(options: OfNetwork, paths: Sequence[Path] = ()) -> TrainedNetwork:
    """The network that a command line names; TensorFlow comes with it.

    Args:
        options: The network, and how images are normalized for it.
        paths: What else must be there.

    Raises:
        ValueError, OSError: if there is none.
    """
    for path in (Path(options.network), *paths):
        if not path.exists():
            raise FileNotFoundError(f"There is no file or folder {path}")
    with startup.loading():
        from keras_resnet.inference import trained_network

    return trained_network.load(options.network, options.preprocessing)


def read_class_names(file: Path | None) -> tuple[str, ...] | None:
    """The lines of a file.

    Raises:
        ValueError: if it is no text, has an empty line, or a name that cannot be shown.
        OSError: if it cannot be read.
    """
    if file is None:
        return None
    lines = texts.read(file, " with the name of a class per line").removesuffix("\n")
    names = tuple(lines.split("\n"))
    if not all(map(str.strip, names)):
        raise ValueError(f"{file} must name a class in every line. A line is empty")
    texts.check_names(names, str(file))
    return names


def find(paths: Iterable[Path]) -> list[Path]:
    """The pictures in files and folders, each once; what is left out is counted on stderr.

    Raises:
        ValueError, OSError: if there is no such file or folder, or a folder holds no pictures.
    """
    from keras_resnet.inference import pictures

    return list(dict.fromkeys(path for given in paths for path in pictures.find(given, startup.tell)))


def class_names(trained: TrainedNetwork, own: Sequence[str] | None) -> Sequence[str] | None:
    """The names in a person's file, or else those that the network has, if it has any.

    Raises:
        ValueError: if there is another number of them than of classes.
    """
    classes = trained.network.output_shape[-1]
    if own is not None and len(own) != classes:
        raise ValueError(f"`class_names` must have {classes} lines, one for each class. Received: {len(own)} lines")
    return trained.class_names if own is None else own


def batches(
    trained: TrainedNetwork, paths: Sequence[Path], batch_size: int, faults: list[str]
) -> Iterator[tuple[list[Path], np.ndarray]]:
    """Batches of pictures as evaluation shows them; those that cannot be used are named on stderr, and left out.

    Args:
        trained: The network.
        paths: Of the pictures.
        batch_size: The most pictures at a time.
        faults: Is extended by a line for each picture left out.

    Yields:
        (paths, images uint8 [paths, height, width, channels]).
    """
    from keras_resnet.inference import pictures

    for usable, images, found in pictures.batches(paths, pictures.viewer_of(trained), batch_size):
        for fault in found:
            refusal.show(fault)
        faults += found
        if usable:
            yield usable, images
