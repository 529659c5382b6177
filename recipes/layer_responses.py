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

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from cli import command_line, program, startup
from cli.options import OfData, OfOverwriting, Preprocessing
from keras_resnet.host import files, outputs
from keras_resnet.inference import labelled_images
from keras_resnet.runs.directory import RunDirectory

if TYPE_CHECKING:
    import numpy as np

    from keras_resnet.data.datasets.loading import Data
    from keras_resnet.inference.trained_network import TrainedNetwork

FILES = ("responses.png", "responses.svg", "responses.csv")

Responses = dict[str, list[tuple[str, float]]]
"""By the name of a network: (layer, standard deviation), in order."""


@dataclass(frozen=True, kw_only=True)
class Options(OfData, OfOverwriting):
    """Options of this program."""

    sources: Annotated[Positional[tuple[str, ...]], arg(metavar="RUN_OR_WEIGHTS …", help_behavior_hint="(one or more)")]
    """Directories of finished runs, .keras files, or weights."""
    output: Path | None = None
    """The directory for the pictures and the table; must be given."""
    images: int = 1000
    """The first images, at most so many."""
    batch_size: int = 100
    """Images at a time."""
    preprocessing: Preprocessing | None = None
    """How images are normalized for weights whose file does not say so."""

    def _check(self) -> None:
        self._at_least(1, "images", "batch_size")


FLAGS = command_line.flags_by_argument(Options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and draws what the command line asks for; returns the exit status."""
    return program.answer(work, command_line.read(Options, __doc__, arguments), flags=FLAGS)


def work(options: Options) -> int:
    """Measures, draws and prints."""
    check(options)
    # TensorFlow takes seconds to load: everything that can be refused without it has been by now.
    with startup.loading():
        from keras_resnet.inference import trained_network
    networks = [trained_network.load(source, options.preprocessing) for source in options.sources]
    responses = measure(
        networks,
        images=options.images,
        batch_size=options.batch_size,
        dataset=options.dataset,
        data_directory=options.data_directory,
    )
    write(responses, [one.network.spec.shortcut is None for one in networks], options.output)
    print(table(responses))
    return 0


def check(options: Options) -> None:
    """Refuses a directory that may not be written to, or a source that says nothing of the images.

    Raises:
        ValueError, OSError: saying what to change.
    """
    for source in options.sources:
        if not RunDirectory(Path(source)).recipe.is_file():
            labelled_images.require(source, options.preprocessing, dataset=options.dataset, output=options.output)
    if options.output is None:
        raise ValueError("`output` must be a directory for the pictures and the table. Received: none")
    outputs.check_directory(options.output)
    outputs.check_vacant([options.output / name for name in FILES], overwrite=options.overwrite)
    if doubled := {source for source in options.sources if options.sources.count(source) > 1}:
        raise ValueError(f"A network must be named once. Received several times: {', '.join(sorted(doubled))}")


def measure(
    networks: Sequence[TrainedNetwork],
    *,
    images: int = 1000,
    batch_size: int = 100,
    dataset: str | None = None,
    data_directory: str | None = None,
) -> Responses:
    """The responses of every network; a network's name is its recipe's or its file's, if no other has the same.

    Args:
        networks: The networks.
        images: The first images, at most so many.
        batch_size: Images at a time.
        dataset: A key of `DATASETS`. Defaults to that of each run.
        data_directory: Where it lies. Defaults to where each run found it.

    Raises:
        ValueError, OSError: if the images are not there, or do not suit a network.
    """
    from keras_resnet.analysis.layer_responses import layer_responses

    names = [one.recipe.name if one.recipe else one.source.name for one in networks]
    names = [name if names.count(name) == 1 else str(one.source) for name, one in zip(names, networks, strict=True)]
    responses = {}
    for name, one in zip(names, networks, strict=True):
        data = labelled_images.load(one, dataset, data_directory, tell=startup.tell)
        responses[name] = layer_responses(one.network, first_images(data, images, batch_size))
    return responses


def first_images(data: Data, count: int, batch_size: int) -> Iterator[np.ndarray]:
    """Batches of the first test images, uint8 [batch, height, width, channels]; validation images if there are none.

    Raises:
        ValueError: naming damaged images.
    """
    import numpy as np

    from keras_resnet.data import roads
    from keras_resnet.data.datasets import loading

    split = data.test or data.validation
    split = split.part(0, min(count, split.size))
    made = roads.closing(roads.current().evaluation_batches(split, batch_size=batch_size))
    with loading.naming_damaged_images(data), made as batches:
        for pixels, labels in batches:
            yield np.asarray(pixels)[np.asarray(labels) >= 0]  # the others only fill up the last batch


def write(responses: Responses, plain: Sequence[bool], directory: Path) -> None:
    """Writes the pictures, then the table."""
    from keras_resnet.analysis import layer_responses_figure

    directory.mkdir(parents=True, exist_ok=True)
    deviations = {name: [deviation for _, deviation in layers] for name, layers in responses.items()}
    dashed = [name for name, is_plain in zip(responses, plain, strict=True) if is_plain]
    png, svg, table = (directory / name for name in FILES)
    for picture in (png, svg):
        with files.naming_file(picture, outputs.remedy()):
            layer_responses_figure.draw(deviations, picture, dashed)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["network", "order", "layer", "standard_deviation"])
    for name, layers in responses.items():
        rows.writerows([name, order, layer, deviation] for order, (layer, deviation) in enumerate(layers, start=1))
    files.write(table, text.getvalue().encode(), outputs.remedy())


def table(responses: Responses) -> str:
    """One line for each network."""
    width = max(map(len, responses))
    lines = [f"{'network':{width}}  layers  mean standard deviation"]
    for name, layers in responses.items():
        mean = sum(deviation for _, deviation in layers) / len(layers)
        lines.append(f"{name:{width}}  {len(layers):6}  {mean:23.4f}")
    return "\n".join(lines)


if __name__ == "__main__":
    program.run(main)
