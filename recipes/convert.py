"""Turn weights of other packages into ours, or ours into theirs, and compare the logits.

    python recipes/convert.py resnet50.pth --output resnet50.weights.h5
    python recipes/convert.py ResNet-50-model.caffemodel --output resnet50.keras
    python recipes/convert.py runs/cifar10-resnet20 --output resnet20.safetensors
    python recipes/convert.py resnet50.weights.h5 --output theirs.weights.h5 --as keras

SOURCE is a file of PyTorch (.pth, .pt, .th), safetensors, Keras (.h5, .weights.h5, .keras) or Caffe (.caffemodel); its
layout and the network's depth follow from the names in it. Or it is the directory of a finished run. The suffix of the
target says what is written: ours (.weights.h5, .keras), or PyTorch's (.pth, .safetensors) under the names of
torchvision or, for CIFAR, of akamaster's networks; --as names another layout.

Eight views of real photographs then go through the network, and through the framework of the source and of the target
where those are installed. The logits must agree to 1e-4 of their range, and the largest of each. That proves the
conversion, and nothing that weights alone do not tell: how images were normalized, which convolution of a bottleneck
has the stride, how the pool pads, whether a pool is anti-aliased. Where the source does not say so, the habits of its
package are assumed, which is printed; --preprocessing, --bottleneck-stride and --pool-padding say otherwise.

Exit status: 0 done; 1 the logits differ, and nothing was written; 2 refused, and nothing was changed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from cli import command_line, program, refusal, startup, weights_lines
from cli.options import OfOverwriting, Preprocessing
from keras_resnet.facts.architectures import BottleneckStride
from keras_resnet.facts.network_spec import NetworkSpec, PoolPadding
from keras_resnet.host import files, outputs
from keras_resnet.host.texts import readable

if TYPE_CHECKING:
    import numpy as np

    from keras_resnet.models.residual_network import ResidualNetwork
    from keras_resnet.weights.arrays import Weights
    from keras_resnet.weights.metadata import WeightsMetadata

TOLERANCE = 1e-4
"""Largest difference of two logits, as a share of the range of all."""


@dataclass(frozen=True, eq=False)
class Side:
    """Weights as another package has them: of the source, or for the target."""

    layout: str
    state: Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Options(OfOverwriting):
    """Options of this program."""

    source: Annotated[Positional[Path], arg(metavar="SOURCE")]
    """The weights, or the directory of a finished run."""
    output: Path
    """The file to write, whose suffix says what: .weights.h5, .keras, .pth or .safetensors."""
    layout: Annotated[str | None, arg(name="as")] = None
    """The layout of the output, if it is not ours or PyTorch's usual one."""
    entry: str | None = None
    """The key of the weights in a checkpoint that holds several. None: their average, or the usual key."""
    preprocessing: Preprocessing | None = None
    """How images are normalized for the network, where the source does not say so."""
    bottleneck_stride: BottleneckStride | None = None
    """The convolution of a bottleneck that has the stride, where the source does not say so."""
    pool_padding: PoolPadding | None = None
    """How the max-pool pads, where the source does not say so."""
    class_names: Path | None = None
    """A text file with the name of a class per line. None: the names that the source has."""
    images: Path | None = None
    """A folder of photographs to compare on. None: two that scikit-learn has."""


FLAGS = command_line.flags_by_argument(Options) | {"as": "--as"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Converts what the command line asks for; returns the exit status."""
    return program.answer(
        convert, command_line.read(Options, __doc__, arguments), flags=FLAGS, extras=("conversion", "backends")
    )


def suffix(path: Path) -> str:
    """The key of `WRITERS` that a file ends in."""
    return next(end for end in WRITERS if path.name.endswith(end))


def check(options: Options) -> None:
    """Refuses what can be refused without reading anything.

    Raises:
        ValueError, OSError: saying what to change.
    """
    outputs.check_file(options.output, overwrite=options.overwrite, suffixes=tuple(WRITERS))
    if not options.source.exists():
        raise FileNotFoundError(f"There is no file or directory {options.source}")


def convert(options: Options) -> int:
    """Reads, compares and writes; returns the exit status.

    Raises:
        ValueError, OSError: if anything does not fit; nothing was changed.
    """
    check(options)
    # TensorFlow takes seconds to load: everything that can be refused without it has been by now.
    with startup.loading():
        from keras_resnet.models import weights_loading
        from keras_resnet.models.resnet import BUILDERS

    found = read(options)
    network = BUILDERS[found.metadata.spec.family](classifier_activation=None, **arguments(found.metadata.spec))
    weights_loading.load_weights(network, found, source=str(options.source))
    network.class_names = class_names(found.metadata, options.class_names)
    target = weights_for(network, options)
    print("\n".join(weights_lines.description(options.source, found)))
    sides = {"source": Side(found.layout, found.checkpoint.state_dict) if found.checkpoint else None, "target": target}
    compared = [compare(name, side, network, options.images) for name, side in sides.items() if side]
    if not all(compared):
        refusal.show(f"the logits differ too much; {options.output} was not written")
        return 1
    with files.replacing(options.output) as whole:
        WRITERS[suffix(options.output)](whole, network, target)
    print(readable(f"written   {options.output}"))
    return 0


def read(options: Options) -> Weights:
    """The weights of a source, with what the command line says of them."""
    from keras_resnet.inference import trained_network
    from keras_resnet.models import weights_loading

    path = options.source
    if path.is_dir():
        trained = trained_network.load(path)
        found = weights_loading.weights_of(trained.network)
        found = replace(found, metadata=replace(found.metadata, class_names=trained.class_names))
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of several weights: printed with all else that was found
            found = weights_loading.read(path, options.entry)
    return found.stated(
        path,
        preprocessing=options.preprocessing,
        bottleneck_stride=options.bottleneck_stride,
        pool_padding=options.pool_padding,
    )


def arguments(spec: NetworkSpec) -> dict[str, Any]:
    """The arguments with which the builder of the family makes a network for images of the specification's channels."""
    side = spec.architecture.image_size
    return spec.options | {"input_shape": (side, side, spec.channels), "data_format": "channels_last"}


def class_names(metadata: WeightsMetadata, file: Path | None) -> tuple[str, ...] | None:
    """The names in a person's file, or else those that the source has, if it has any.

    Raises:
        ValueError, OSError: if they cannot be read, or are not as many as the classes.
    """
    from cli import pictures

    names, classes = pictures.read_class_names(file), metadata.spec.classes
    if names is not None and len(names) != classes:
        raise ValueError(f"`class_names` must have {classes} lines, one for each class. Received: {len(names)} lines")
    return metadata.class_names if names is None else tuple(names)


def weights_for(network: ResidualNetwork, options: Options) -> Side | None:
    """The weights as the target's package has them; None if that is ours.

    Raises:
        ValueError: if it has no such network, or such a file is not one of its.
    """
    from keras_resnet.models import weights_loading
    from keras_resnet.weights import conversion

    torch = suffix(options.output) in TORCH
    usual = {"imagenet": "torchvision", "cifar": "akamaster"}[network.spec.family] if torch else None
    layout = options.layout or usual
    if layout is None:
        return None
    allowed = [name for name, row in conversion.LAYOUTS.items() if row.unfold and row.outputs_first == torch]
    if layout not in allowed or suffix(options.output) == ".keras":
        rule = f"one of {', '.join(allowed)}" if suffix(options.output) != ".keras" else "absent"
        raise ValueError(f"`as` must be {rule} with the `output` {options.output}. Received: {layout!r}")
    arrays = weights_loading.weights_of(network).arrays
    try:
        return Side(layout, conversion.from_ours(arrays, layout, network.spec))
    except ValueError as error:  # names an argument of the network, which no flag can change
        reason = str(error).replace("`", "")
        raise ValueError(f"{layout} has no such network: {reason}. Write a .weights.h5 or .keras instead") from error


def compare(name: str, side: Side, network: ResidualNetwork, folder: Path | None) -> bool:
    """Whether the network and another framework with a side's weights have the same logits, which is also printed."""
    import numpy as np

    from keras_resnet.models import compiled
    from keras_resnet.models.preprocessing import preprocess_input
    from keras_resnet.models.reference_logits import REFERENCES

    if network.spec.classes is None or side.layout not in REFERENCES:
        why = "they have no classifier" if network.spec.classes is None else "it has no runtime here"
        print(f"{name}    {side.layout}: not compared, since {why}")
        return True
    images = np.array(preprocess_input(photographs(network.image_shape[0], folder), network.preprocessing or "torch"))
    images = np.ascontiguousarray(images[..., np.arange(network.spec.channels) % 3])
    try:
        theirs = REFERENCES[side.layout](side.state, side.layout, network.spec, images)
    except ValueError as error:
        print(f"{name}    {side.layout}: not compared, since it has no such network ({error})")
        return True
    except ImportError as error:  # such as keras_hub where a package that it needs is missing
        print(f"{name}    {side.layout}: not compared, since {error.name} is not installed")
        return True
    ours = compiled.of_images(network)(images)
    difference = float(np.abs(ours - theirs).max() / np.ptp(theirs))
    same = int((ours.argmax(-1) == theirs.argmax(-1)).sum())
    print(
        f"{name}    {side.layout}: logits of {len(images)} views differ by at most {difference:.1e} of their range; "
        f"{same} of {len(images)} have the same largest one"
    )
    return difference <= TOLERANCE and same == len(images)


def photographs(side: int, folder: Path | None) -> np.ndarray:
    """uint8 [views, side, side, 3]: of a folder's first eight pictures, or four views of each of two photographs."""
    import numpy as np

    if folder is not None:
        from keras_resnet.inference import pictures

        view = pictures.viewer((side, side, 3), whole=False)
        return np.stack([view(path) for path in pictures.find(folder)[:8]])
    from PIL import Image
    from sklearn.datasets import load_sample_images

    samples = load_sample_images().images  # 427x640
    windows = [image[y : y + 213, x : x + 320] for image in samples for y in (0, 214) for x in (0, 320)]
    return np.stack([np.asarray(Image.fromarray(window).resize((side, side))) for window in windows])


def write_weights(path: Path, network: ResidualNetwork, target: Side | None) -> None:
    """Our weights, or those of a package that is Keras's as well."""
    if target is None:
        network.save_weights(path)
        return
    from keras_resnet.models.reference_logits import MODELS

    MODELS[target.layout](target.state, target.layout, network.spec).save_weights(path)


def write_network(path: Path, network: ResidualNetwork, target: Side | None) -> None:
    """The whole network, from images as its convention has them to scores."""
    from keras_resnet.models.resnet import BUILDERS

    BUILDERS[network.spec.family](weights=network, **arguments(network.spec)).save(path)


def write_torch(path: Path, network: ResidualNetwork, target: Side) -> None:
    """A dictionary of tensors."""
    import torch

    torch.save({name: torch.from_numpy(array) for name, array in target.state.items()}, path)


def write_safetensors(path: Path, network: ResidualNetwork, target: Side) -> None:
    """The same, with what must be known of the network beside it."""
    from safetensors.numpy import save_file

    from keras_resnet.weights import metadata

    save_file(dict(target.state), path, metadata={metadata.KEY: metadata.dumps(network.weights_metadata)})


TORCH = (".pth", ".safetensors")
WRITERS: dict[str, Callable[[Path, Any, Any], None]] = {
    ".weights.h5": write_weights,
    ".keras": write_network,
    ".pth": write_torch,
    ".safetensors": write_safetensors,
}
"""What writes a target, by its suffix."""


if __name__ == "__main__":
    program.run(main)
