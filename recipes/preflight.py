"""Compile a recipe for a slice of TPUs, without one, and say whether it fits, how fast it can be, and what to change.

    python recipes/preflight.py RECIPE --topology v5e:4x4 [--largest-batch] [--training.global-batch-size 4096] …
    python recipes/preflight.py imagenet-resnet50 --topology v4-32 --host-input input.json --json preflight.json

RECIPE is a name from the catalog, a recipe.json, or the directory of a run; flags change it, as in train.py. --topology
is a generation (v4, v5e, v5p, v6e, tpu7x) and its chips along each axis, or an accelerator type: v5litepod-16, v6e-8,
v5p-8. No images are read and no TPU is looked for; the compiler comes with libtpu. A deep network takes it minutes.

Exit status: 0 it fits; 2 it does not, or something else was refused; 130 Ctrl-C.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmarks import input_file
from cli import command_line, program, recipe_line, refusal, startup
from keras_resnet import validation
from keras_resnet.facts import tpus
from keras_resnet.host import files, outputs
from keras_resnet.preflight import report, topologies

if TYPE_CHECKING:
    from keras_resnet.config.recipe import Recipe

Engine = Literal["jax", "tensorflow"]


@dataclass(frozen=True, kw_only=True)
class Options(recipe_line.Overrides):
    """Options of this program, beside those of the recipe."""

    topology: str = ""
    """The slice: v5e:4x4, or an accelerator type such as v5litepod-16; must be given."""
    chips_per_host: int | None = None
    """4, or 8 for v5e and v6e. None: 8 for v5litepod-8 and v6e-8, otherwise 4."""
    engine: Engine = "jax"
    """The backend whose training is compiled. tensorflow: a replica alone, without the sums over all of them."""
    largest_batch: bool = False
    """Search the largest batch that fits; several compilations more."""
    evaluation: bool = True
    """Compile the evaluation as well."""
    baseline: bool = False
    """Compile the network of keras.applications of that depth as well, and compare."""
    classes: int | None = None
    """Of somebody's own pictures, which are not read."""
    host_images_per_second: float | None = None
    """What benchmark.py input has measured for the whole input on such a host."""
    host_input: Path | None = None
    """The file in which benchmark.py input --json has written it, instead."""
    json: Path | None = None
    """A file for all that was found, in JSON."""
    overwrite: bool = False
    """Replace that file if it is there already."""

    def _check(self) -> None:
        self._at_least(1, "classes", "chips_per_host")
        self._at_least(0, "host_images_per_second")
        if self.host_input is not None and self.host_images_per_second is not None:
            validation.refuse("host_input", "None beside `host_images_per_second`", str(self.host_input))


FLAGS = command_line.flags_by_argument(Options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what the compiler says of a recipe; returns the exit status."""
    name, words = recipe_line.first_word(
        sys.argv[1:] if arguments is None else arguments, __doc__, recipe_line.listing()
    )
    try:
        recipe, run = recipe_line.find(name)
        options = recipe_line.override(Options, recipe, run, words, name)
        recipe = recipe_line.changed(recipe, options)
        chips = tpus.slice_of(options.topology, chips_per_host=options.chips_per_host)
    except (ValueError, OSError) as error:
        refusal.refuse(error, command_line.flags_by_argument(Options, words))
    choose_backend(options.engine)

    def work(options: Options) -> int:
        return fly(recipe, chips, options)

    extras = ("recipes", "tpu", *(("tensorflow",) if options.engine == "tensorflow" else ()))
    return program.answer(work, options, flags=FLAGS, extras=extras)


def choose_backend(engine: str) -> None:
    """Has Keras compute with the engine, and both frameworks leave the devices of this machine alone."""
    os.environ |= {"KERAS_BACKEND": engine, "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "-1"}


def fly(recipe: Recipe, chips: tpus.Slice, options: Options) -> int:
    """Compiles, prints and writes; returns the exit status.

    Raises:
        ValueError, OSError: if something is refused, or if it does not fit.
    """
    if options.json is not None:
        outputs.check_file(options.json, overwrite=options.overwrite, argument="json", suffixes=(".json",))
    host_speed = options.host_images_per_second
    if options.host_input is not None:
        host_speed = input_file.speed(options.host_input)
    topologies.require()
    with loading(options.engine):
        from keras_resnet.experiment.preflight import preflight
    flight = preflight(
        recipe,
        chips,
        classes=options.classes,
        search=options.largest_batch,
        evaluation=options.evaluation,
        beside_baseline=options.baseline,
        host_speed=host_speed,
        tell=startup.tell,
    )
    print("\n".join(refusal.with_flags(line, FLAGS) for line in report.lines(flight)))
    if options.json is not None:
        files.write(options.json, f"{json.dumps(report.values(flight), indent=2)}\n".encode(), outputs.remedy("json"))
    return 0


def loading(engine: str) -> AbstractContextManager[None]:
    """Loads TensorFlow only where it is what compiles."""
    return startup.loading() if engine == "tensorflow" else nullcontext()


if __name__ == "__main__":
    program.run(main)
