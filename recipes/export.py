"""Export a trained network for another program, and prove that the file does the same.

    python recipes/export.py runs/cifar10-resnet20 --format onnx --output resnet20.onnx --fold
    python recipes/export.py resnet50.pth --preprocessing torch --format litert --output resnet50.tflite --batch-size 1
    python recipes/export.py model.keras --format saved-model --output served/1 --scores

SOURCE is the directory of a run, a .keras file, or weights: a .weights.h5, or a file of another package.
The file takes images uint8 [batch, height, width, 3] of 0 to 255, red first, and normalizes them inside, so that it
cannot be given the wrong ones; with --no-normalization it takes float32 images that are normalized already. It returns
float32 logits [batch, classes], or with --scores their softmax. It computes in float32, whatever the training did.

format        file      pip install                  is run by
saved-model   a folder  nothing more                 tf.saved_model.load
onnx          .onnx     onnx tf2onnx onnxruntime     onnxruntime
litert        .tflite   nothing more                 tf.lite.Interpreter
openvino      .xml      openvino                     openvino; the weights lie beside it, in a .bin
torch         .pt2      torch                        torch.export.load

The converter of openvino reports its use to its makers; `opt_in_out --opt_out`, which comes with it, ends that.
The file is run beside the network. FILE.json says by how much they differ, how long both take, and what the file wants.
Exit status: 0 exported, and the outputs are equal; 1 they are not, and the file is called NAME.differs.SUFFIX; 2
refused or failed, and nothing was written.
"""

from __future__ import annotations

import contextlib
import math
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from benchmarks import interleaved
from cli import command_line, program, refusal, startup
from cli.options import OfOverwriting, Preprocessing
from keras_resnet.export import formats
from keras_resnet.export.formats import FORMATS, Format
from keras_resnet.host import files, outputs, processors

if TYPE_CHECKING:
    from keras_resnet.inference.trained_network import TrainedNetwork
    from keras_resnet.models.residual_network import ResidualNetwork

IMAGES = 8
"""Images that are compared, where the size of the batches is not fixed."""
ROUNDS = 20
"""Measurements of the latency."""


@dataclass(frozen=True, kw_only=True)
class Options(OfOverwriting):
    """Options of this program."""

    source: Annotated[Positional[Path], arg(metavar="SOURCE")]
    """The directory of a run, a .keras file, or weights."""
    format: Annotated[str, arg(metavar="{" + ",".join(FORMATS) + "}")]
    """What to write."""
    output: Path
    """The file, or for saved-model the folder."""
    fold: bool = False
    """Fold batch normalization into the convolutions; torch always does."""
    normalization: bool = True
    """Normalize images inside."""
    preprocessing: Preprocessing | None = None
    """How images are normalized for weights whose file does not say so."""
    image_size: int | None = None
    """Side of the images in pixels. None: the network's."""
    batch_size: int | None = None
    """Images in a batch. None: any number."""
    scores: bool = False
    """End in the softmax."""

    def _check(self) -> None:
        formats.check(self.format)
        self._at_least(1, "image_size", "batch_size")


FLAGS = command_line.flags_by_argument(Options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exports what the command line asks for; returns the exit status."""
    return program.answer(work, command_line.read(Options, __doc__, arguments), flags=FLAGS, extras=("export",))


def work(options: Options) -> int:
    """Exports, compares, moves the file to its place and prints; returns the exit status.

    Raises:
        ValueError, OSError: if anything does not fit, or fails; nothing was written.
    """
    output, form = options.output, FORMATS[options.format]
    check(output, form, options)
    # The runtimes compute on the CPU in float32; a GPU would round otherwise. TensorFlow writes every format, whatever
    # backend the network was trained on.
    os.environ.update(CUDA_VISIBLE_DEVICES="-1", KERAS_BACKEND="tensorflow")
    with startup.loading():
        from keras_resnet.inference import trained_network
    try:
        source = trained_network.load(options.source, options.preprocessing)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder:
            report = export(source, Path(folder) / output.name, options)
            place = output if report["agrees"] else differing(output)
            move_into_place(Path(folder) / output.name, place, form, report)
    except RuntimeError as error:
        raise ValueError(str(error)) from error
    print(summary(report, place))
    if not report["agrees"]:
        refusal.show(f"{place} does not do what the network does; do not use it")
    return 0 if report["agrees"] else 1


def check(output: Path, form: Format, options: Options) -> None:
    """Refuses what can be refused before TensorFlow is loaded.

    Raises:
        ValueError, OSError: saying what is wrong.
    """
    missing = [*([] if find_spec("tensorflow") else ["tensorflow"]), *form.missing]
    if missing:
        raise ValueError(
            f"`format` {options.format} needs {', '.join(missing)}, which is not installed: "
            f"pip install {' '.join(missing)}"
        )
    outputs.check_vacant(form.files(output), overwrite=options.overwrite)
    if form.suffix:
        rule = f"for `format` {options.format}"
        outputs.check_file(output, overwrite=options.overwrite, suffixes=(form.suffix,), rule=rule)
    else:
        outputs.check_folder_of(output, "saved_model.pb")
    if not options.source.exists():
        raise FileNotFoundError(f"There is no file or directory {options.source}")


def export(source: TrainedNetwork, path: Path, options: Options) -> dict[str, Any]:
    """Writes the file, and returns what is to be known of it."""
    from keras_resnet.export import preparation, writers

    network = preparation.in_float32(source.network, options.image_size)
    mean, deviation = preparation.normalization(network)
    inside = options.normalization
    fold = options.fold or FORMATS[options.format].folds
    exported = preparation.exportable(network, fold=fold, preprocessing=inside, scores=options.scores)
    writers.write(exported, options.format, path, options.batch_size)
    [image], classes = exported.inputs, exported.output_shape[1]
    outside = {"mean": mean.tolist(), "deviation": deviation.tolist()}
    return {
        "source": str(source.source),
        "format": options.format,
        "folded": fold,
        "input": {
            "shape": [options.batch_size, *image.shape[1:]],
            "dtype": image.dtype,
            "values": "0 to 255" if inside else "(0 to 255 - mean) / deviation",
            **({} if inside else outside),
        },
        "output": {"shape": [options.batch_size, classes], "values": "scores" if options.scores else "logits"},
        "class_names": source.class_names,
        **compared(network, path, options),
    }


def compared(network: ResidualNetwork, path: Path, options: Options) -> dict[str, Any]:
    """Runs the file beside the network that it was made of, and returns how they compare."""
    from keras_resnet.export import comparison, preparation, runtimes, writers

    threads, run_network = processors.count(), runtimes.run_keras(network)
    images = comparison.pictures(network, options.batch_size or IMAGES)
    mean, deviation = preparation.normalization(network)
    given = images if options.normalization else ((images - mean) / deviation).astype("float32")
    try:
        run = runtimes.RUNTIMES[options.format](path, threads)
        theirs = run(given)
    except Exception as error:  # each runtime has errors of its own
        raise RuntimeError(f"The file that was exported cannot be run ({writers.first_line(error)})") from error
    expected = run_network(images)
    found = comparison.compare(comparison.softmax(expected) if options.scores else expected, theirs)
    few = slice(options.batch_size or 1)
    return {
        "agrees": found.agrees,
        "difference": found.difference if math.isfinite(found.difference) else None,
        "limit": comparison.LIMIT,
        "same_top_1": found.same_top_1,
        "images": found.images,
        "latency": {
            "images": len(images[few]),
            "threads": threads,
            "rounds": ROUNDS,
            "milliseconds": latencies(
                {"keras": lambda: run_network(images[few]), options.format: lambda: run(given[few])}
            ),
        },
    }


def latencies(runs: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """The median time of each, interleaved."""

    def once(run: Callable[[], Any]) -> interleaved.Task:
        return lambda: run() is not None

    speeds = interleaved.measure({name: once(run) for name, run in runs.items()}, ROUNDS)
    return {name: 1000 / statistics.median(measured) for name, measured in speeds.items()}


def differing(output: Path) -> Path:
    """The name of a file that must not be used."""
    return output.with_name(f"{output.stem}.differs{output.suffix}")


def move_into_place(made: Path, place: Path, form: Format, report: dict[str, Any]) -> None:
    """Moves an export to its place, with the report beside it; earlier files go where it was made."""
    beside = made.with_name(f"{made.name}.json")
    beside.write_bytes(files.as_json(report))
    for source, target in zip(
        [beside, *form.files(made)], [place.with_name(f"{place.name}.json"), *form.files(place)], strict=True
    ):
        with contextlib.suppress(FileNotFoundError):
            target.replace(made.with_name(f"old-{target.name}"))
        source.replace(target)


def summary(report: dict[str, Any], place: Path) -> str:
    """The report for people, in a few lines."""
    given, output, latency, difference = (report[key] for key in ("input", "output", "latency", "difference"))
    shape = ", ".join("any" if size is None else str(size) for size in given["shape"])
    share = "what is no number" if difference is None else f"{difference:.1e} of their range"
    times = ", ".join(f"{name} {time:.2f} ms" for name, time in latency["milliseconds"].items())
    return "\n".join(
        [
            f"file      {place}",
            f"input     {given['dtype']} [{shape}], {given['values']}",
            f"output    {output['values']} of {output['shape'][1]} classes",
            f"equal     {'yes' if report['agrees'] else 'NO'}, they differ by {share} (limit {report['limit']:.0e}); "
            f"top-1 on {report['same_top_1']} of {report['images']} images",
            f"latency   {times} (batch of {latency['images']}, {latency['threads']} threads, "
            f"median of {latency['rounds']})",
        ]
    )


if __name__ == "__main__":
    program.run(main)
