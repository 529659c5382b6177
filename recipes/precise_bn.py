"""Recompute the batch statistics of a trained network as an exact average over training images.

    python recipes/precise_bn.py RUN
    python recipes/precise_bn.py RUN --images 50000 --batch-size 256 --output precise.keras

RUN is the directory of a finished run. Its training images come in the order and with the augmentation of the training,
from its beginning on. The network with the new statistics goes into a file of its own, RUN/precise.keras if no other is
named, and the errors of both are printed. Only --overwrite lets it replace RUN/model.keras; RUN/result.json then tells
of a network that is gone. A training does the same by itself: --training.precise-statistics 10000.

Exit status: 0 done; 2 refused, and nothing was changed; 130 Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from cli import command_line, program, startup
from cli.options import OfOverwriting
from keras_resnet.config.recipe import Recipe
from keras_resnet.config.run import Run
from keras_resnet.host import files, outputs
from keras_resnet.inference.labelled_images import data_directory_of
from keras_resnet.runs.directory import RunDirectory

if TYPE_CHECKING:
    from keras_resnet.data.datasets.loading import Data
    from keras_resnet.evaluation.error_rates import ErrorRates
    from keras_resnet.training.backend import Backend

    Measured = dict[str, ErrorRates]


@dataclass(frozen=True, kw_only=True)
class Options(OfOverwriting):
    """Options of this program."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """The directory of a finished run."""
    images: int = 10_000
    """Training images, at least so many."""
    data_directory: str | None = None
    """Where the images are. None: where the run found them."""
    batch_size: int | None = None
    """Images that share their statistics. None: as many as in the run."""
    output: Path | None = None
    """The file for the network, .keras. None: RUN/precise.keras."""

    def _check(self) -> None:
        self._at_least(1, "images", "batch_size")


FLAGS = command_line.flags_by_argument(Options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Recomputes the statistics of a run's network; returns the exit status."""
    return program.answer(work, command_line.read(Options, __doc__, arguments), flags=FLAGS)


def work(options: Options) -> int:
    """Recomputes, writes and prints."""
    directory = RunDirectory(options.run)
    output = options.output or directory.path / "precise.keras"
    outputs.check_file(output, overwrite=options.overwrite, suffixes=(".keras",))
    directory.require_network()
    recipe = Recipe.read(directory.recipe)
    before, after = recompute(directory, together(recipe, directory, options), options, output)
    for split, errors in before.items():
        change = f"{errors.top1_error:.2f}% before, {after[split].top1_error:.2f}% after"
        print(f"{split} error on {errors.images:,} images: {change}")
    print(f"model {output}")
    return 0


def together(recipe: Recipe, directory: RunDirectory, options: Options) -> Recipe:
    """The recipe, with iterations of as many images as share their statistics."""
    training = recipe.training
    size = (
        options.batch_size
        or training.normalization_batch_size
        or last_start(directory).get("per_replica_batch_size", training.global_batch_size // training.accumulation)
    )
    one_group = replace(training, global_batch_size=size, accumulation=1, normalization_batch_size=None)
    # The network is the one that was measured: an average of its weights, if the training had one.
    return replace(recipe, training=one_group, optimizer=replace(recipe.optimizer, ema_momentum=None))


def last_start(directory: RunDirectory) -> dict[str, Any]:
    """How a run was last started; empty if it does not say."""
    starts = directory.starts()
    return starts[-1] if starts else {}


def recompute(directory: RunDirectory, recipe: Recipe, options: Options, output: Path) -> tuple[Measured, ...]:
    """Writes the network with the new statistics; returns the errors with the old and with the new ones.

    Raises:
        ValueError, OSError: if the images or the network are not there, or if the statistics are not finite.
    """
    # A backend takes seconds to load: everything that can be refused without it has been by now.
    with startup.loading():
        from keras_resnet.experiment import backends, build
        from keras_resnet.inference import trained_network
    from keras_resnet.data.datasets.loading import naming_damaged_images

    run = Run(data_directory=options.data_directory or data_directory_of(str(directory.path)))
    kind = backends.choose(recipe, run)
    size = recipe.training.global_batch_size
    processes = kind.connect(strategy=run.strategy, replicas=None, global_batch_size=size, timeout=run.join_timeout)
    data = build.load_data(recipe, run, startup.tell)
    network = trained_network.load(directory.path).network
    with naming_damaged_images(data, startup.tell):
        backend = backends.make(
            kind, processes, recipe, run, data, network=lambda: trained_network.load(directory.path).network
        )
        before = measured(backend, data)
        backend.recompute_statistics(options.images)
        after = measured(backend, data)
    build.assign(network, backend.read())
    with files.naming_file(output, outputs.remedy()), files.replacing(output) as whole:
        network.save(whole)
    return before, after


def measured(backend: Backend, data: Data) -> Measured:
    """The errors of the network, as it is, on every split that it was not trained on."""
    return {name: backend.evaluate(split) for name, split in data.splits.items() if name != "train"}


if __name__ == "__main__":
    program.run(main)
