"""Measure and draw how strongly the layers of networks respond, as in Figure 7 of the paper.

    python recipes/layer_responses.py RUN RUN --output DIR
    python recipes/layer_responses.py WEIGHTS --dataset cifar10 --data-directory DATA --output DIR

RUN is the directory of a finished run, whose recipe names the data set; WEIGHTS a .keras file, or weights of this or of
another package. DIR gets responses.png, responses.svg and responses.csv: the standard deviation of the output of each
3x3 layer, after batch normalization and before the nonlinearity and the addition, over the first test images (the
validation images where there are no others), each seen once from its center.

Exit status: 0 done; 2 refused, and nothing was changed; 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import labelled_images
import refusal
import startup
from keras_resnet.facts.datasets import DATASETS
from keras_resnet.host import files
from keras_resnet.runs.directory import RunDirectory

if TYPE_CHECKING:
    import numpy as np

    from keras_resnet.inference.trained_network import TrainedNetwork

REMEDY = "Choose another --output"
FILES = ("responses.png", "responses.svg", "responses.csv")

Responses = dict[str, list[tuple[str, float]]]
"""By the name of a network: (layer, standard deviation), in order."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and draws what the command line asks for; returns the exit status."""
    return refusal.answer(work, read_options(arguments))


def work(options: argparse.Namespace) -> int:
    """Measures, draws and prints."""
    check_output(options)
    # TensorFlow takes seconds to load: everything that can be refused without it has been by now.
    with startup.loading():
        from keras_resnet.inference import trained_network
    networks = [trained_network.load(source, options.preprocessing) for source in options.sources]
    responses = measure(networks, options)
    write(responses, [one.network.spec.shortcut is None for one in networks], options.output)
    print(table(responses))
    return 0


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = refusal.Parser(__doc__)
    parser.add_argument("sources", nargs="+", metavar="RUN_OR_WEIGHTS")
    parser.add_argument("--output", type=Path, required=True, help="directory for the pictures and the table")
    parser.add_argument("--overwrite", action="store_true", help="replace what an earlier measurement left there")
    parser.add_argument("--dataset", choices=DATASETS, help="defaults to each run's own")
    parser.add_argument("--data-directory", help="defaults to each run's own")
    parser.add_argument("--images", type=int, default=1000, help="the first ones, at most; defaults to %(default)s")
    parser.add_argument("--batch-size", type=int, default=100, help="images at a time; defaults to %(default)s")
    parser.add_argument("--preprocessing", help="of weights that do not tell it: torch, caffe or tf")
    options = parser.parse_args(arguments)
    parser.require_positive(options, "images", "batch_size")
    return options


def check_output(options: argparse.Namespace) -> None:
    """Refuses a directory that may not be written to, or a source that says nothing of the images.

    Raises:
        ValueError, OSError: saying what to change.
    """
    if options.output.exists() and not options.output.is_dir():
        raise NotADirectoryError(f"{options.output} is a file. {REMEDY}")
    there = [str(options.output / name) for name in FILES if (options.output / name).exists()]
    if there and not options.overwrite:
        raise FileExistsError(f"{', '.join(there)} would be replaced. {REMEDY}, or allow it with --overwrite")
    unknown = [source for source in options.sources if not RunDirectory(Path(source)).recipe.is_file()]
    if options.dataset is None and unknown:
        raise ValueError(f"--dataset must be one of {', '.join(DATASETS)}: {unknown[0]} is no run, which would tell")
    if doubled := {source for source in options.sources if options.sources.count(source) > 1}:
        raise ValueError(f"A network must be named once. Received several times: {', '.join(sorted(doubled))}")


def measure(networks: Sequence[TrainedNetwork], options: argparse.Namespace) -> Responses:
    """The responses of every network; a network's name is its recipe's or its file's, if no other has the same.

    Raises:
        ValueError, OSError: if the images are not there, or do not suit a network.
    """
    from keras_resnet.analysis.layer_responses import layer_responses

    names = [one.recipe.name if one.recipe else one.source.name for one in networks]
    names = [name if names.count(name) == 1 else str(one.source) for name, one in zip(names, networks, strict=True)]
    return {name: layer_responses(one.network, images(one, options)) for name, one in zip(names, networks, strict=True)}


def images(trained: TrainedNetwork, options: argparse.Namespace) -> Iterator[np.ndarray]:
    """Batches of images uint8 [batch, height, width, channels], as a network wants to see them.

    Raises:
        ValueError, OSError: as `labelled_images.load` does.
    """
    from keras_resnet.data import batches
    from keras_resnet.data.datasets import loading

    data = labelled_images.load(trained, options.dataset, options.data_directory)
    split = data.test or data.validation
    split = split.part(0, min(options.images, split.size))
    with loading.naming_damaged_images(data):
        for pixels, labels in batches.evaluation_batches(split, batch_size=options.batch_size).as_numpy_iterator():
            yield pixels[labels >= 0]  # the others only fill up the last batch


def write(responses: Responses, plain: Sequence[bool], directory: Path) -> None:
    """Writes the pictures, then the table."""
    from keras_resnet.analysis import layer_responses_figure

    directory.mkdir(parents=True, exist_ok=True)
    deviations = {name: [deviation for _, deviation in layers] for name, layers in responses.items()}
    dashed = [name for name, is_plain in zip(responses, plain, strict=True) if is_plain]
    png, svg, table = (directory / name for name in FILES)
    for picture in (png, svg):
        with files.naming_file(picture, REMEDY):
            layer_responses_figure.draw(deviations, picture, dashed)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["network", "order", "layer", "standard_deviation"])
    for name, layers in responses.items():
        rows.writerows([name, order, layer, deviation] for order, (layer, deviation) in enumerate(layers, start=1))
    files.write(table, text.getvalue().encode(), REMEDY)


def table(responses: Responses) -> str:
    """One line for each network."""
    width = max(map(len, responses))
    lines = [f"{'network':{width}}  layers  mean standard deviation"]
    for name, layers in responses.items():
        mean = sum(deviation for _, deviation in layers) / len(layers)
        lines.append(f"{name:{width}}  {len(layers):6}  {mean:23.4f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
