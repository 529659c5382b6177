"""Draw where in pictures a trained network sees a class (Grad-CAM).

    python recipes/explain.py runs/digits pictures/ --output heat                               the class that it sees
    python recipes/explain.py resnet50.pth cat.jpg --output heat --preprocessing torch --class 281
    python recipes/explain.py runs/digits 7.png --output heat --layer conv3_block1_out        an earlier feature map

Writes a PNG for each picture: what the network sees of it, and the same under the heat map. A folder is searched at any
depth for JPEG, PNG, WebP, BMP and GIF files, and OUTPUT has its folders again. Files that are there already are
refused, unless --overwrite is added.

Exit status: 0 done; 1 done but for pictures that cannot be used, named on stderr; 2 refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from cli import command_line, pictures, program
from cli.options import OfOverwriting, OfPictures
from keras_resnet import validation
from keras_resnet.host import files, outputs
from keras_resnet.host.texts import readable

if TYPE_CHECKING:
    import numpy as np

    from keras_resnet.inference.trained_network import TrainedNetwork

BATCH_SIZE = 8


@dataclass(frozen=True, kw_only=True)
class Options(OfPictures, OfOverwriting):
    """Options of this program."""

    output: Path
    """The directory for the heat maps."""
    layer: str | None = None
    """The feature map that is looked at. None: the last."""
    label: Annotated[str | None, arg(name="class", metavar="NAME_OR_NUMBER")] = None
    """The class. None: the one that the network sees."""


FLAGS = command_line.flags_by_argument(Options) | {"class": "--class"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the heat maps; returns the exit status."""
    return program.answer(explain, command_line.read(Options, __doc__, arguments), flags=FLAGS)


def explain(options: Options) -> int:
    """Writes the heat maps."""
    outputs.check_directory(options.output)
    own_names = pictures.read_class_names(options.class_names)
    trained = pictures.load(options, options.pictures)
    names = pictures.class_names(trained, own_names)
    label = None if options.label is None else find_class(options.label, names, trained.network.output_shape[-1])
    written = targets(options.pictures, options.output, overwrite=options.overwrite)
    import keras

    from keras_resnet.models import compiled

    faults: list[str] = []
    score = compiled.of_images(trained.network, keras.ops.softmax)
    for paths, images in pictures.batches(trained, list(written), BATCH_SIZE, faults):
        for path, content in heat_maps(trained, paths, images, score(images), names, label, options.layer):
            with files.naming_file(written[path], outputs.remedy()):
                written[path].parent.mkdir(parents=True, exist_ok=True)
            files.write(written[path], content, outputs.remedy())
            print(readable(written[path]), flush=True)
    return 1 if faults else 0


def find_class(word: str, names: Sequence[str] | None, classes: int) -> int:
    """The class of a name or number; a name counts first.

    Raises:
        ValueError: if there is none, or if several have the name.
    """
    named = [number for number, name in enumerate(names or ()) if name == word]
    numbers = {str(number): number for number in range(classes)}
    if len(named) > 1:
        validation.refuse("class", f"a number, one of {', '.join(map(str, named))}, which have one name", word)
    if not named and word not in numbers:
        rule = f"a number from 0 to {classes - 1}" + (" or the name of a class" if names else "")
        validation.refuse("class", rule, word, validation.nearest(word, names or numbers))
    return named[0] if named else numbers[word]


def targets(given: Sequence[Path], output: Path, *, overwrite: bool) -> dict[Path, Path]:
    """Picture -> the file to write, which has the place of the picture in its folder.

    Raises:
        ValueError: if two pictures would be written to one file.
        OSError: if a file or folder is missing, or a file to write is there already.
    """
    written: dict[Path, Path] = {}
    for start in given:
        for path in pictures.find([start]):
            place = path.relative_to(start) if start.is_dir() else Path(path.name)
            written.setdefault(path, output / place.with_name(f"{path.name}.png"))
    sources: dict[Path, Path] = {}
    for path, target in written.items():
        if (other := sources.setdefault(target, path)) != path:
            raise ValueError(f"{other} and {path} would both be written to {target}. Explain them one after the other")
    outputs.check_vacant(sources, overwrite=overwrite)
    return written


def heat_maps(
    trained: TrainedNetwork,
    paths: Sequence[Path],
    images: np.ndarray,
    scores: np.ndarray,
    names: Sequence[str] | None,
    label: int | None,
    layer: str | None,
) -> Iterator[tuple[Path, bytes]]:
    """Each picture with a PNG file."""
    import numpy as np

    from keras_resnet.analysis import grad_cam, grad_cam_figure

    classes = scores.argmax(axis=1) if label is None else np.full(len(images), label)
    heat = grad_cam.heat_map(trained.network, images, classes, layer)
    for path, image, score, number, of_image in zip(paths, images, scores, classes, heat, strict=True):
        name = readable(names[number]) if names else f"class {number}"
        title = f"{readable(path.name)}\n{name}  {100 * score[number]:.2f}%"
        yield path, grad_cam_figure.draw(image, of_image, title)


if __name__ == "__main__":
    program.run(main)
