"""Measure how fast images come from the disk to the network, stage by stage, and whether the network waits for them.

    python recipes/benchmark.py input [RECIPE] --run.data-directory DIR [--images 1024] [--json FILE] [train.py's flags]

--run.cache keeps the images in memory, encoded or decoded. Measurements are interleaved, on the training images of
RECIPE (imagenet-resnet50 unless said), --images of them in each of --rounds.
"""

from __future__ import annotations

import importlib
import math
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import input_file, noise
from benchmarks.baselines import baselines
from benchmarks.interleaved import Task, measure, ratio
from cli import command_line, program, recipe_line, refusal, startup
from keras_resnet import validation
from keras_resnet.host import files, outputs

if TYPE_CHECKING:
    from keras_resnet.config.recipe import Recipe
    from keras_resnet.config.run import Run
    from keras_resnet.data.datasets.loading import Data
    from keras_resnet.data.encoded_splits import EncodedSplit, FileSplit
    from keras_resnet.data.splits import Split
    from keras_resnet.training.backend import Backend, Processes

ROADS = {"tensorflow": "benchmarks.tensorflow_input", "jax": "benchmarks.grain_input"}
"""The modules that measure the input as a backend of Keras has it."""
WHOLE, NETWORK = "the whole input", "the network"
SAME_VIEW = "keras_resnet, the same view of the same files"
FILES = 1000
"""Photographs that are written to files for the comparison, at most."""
CPU_BATCH = 32
"""Images that a network is given at a time on a CPU, at most: a whole batch might not fit its memory."""
AMPLE = 1.2
"""Images that come in the time of one that is wanted, from which on nothing needs to be changed."""

REMEDIES = {
    "read": "keep the images in memory (--run.cache encoded), on a faster disk, or make them smaller "
    "(prepare_imagenet.py --shorter-side 500)",
    "decode": "make the images smaller (prepare_imagenet.py --shorter-side 500), or keep them decoded in memory "
    "(--run.cache decoded)",
    "augment": "choose a cheaper augmentation (--data.augmentation random-resized-crop flip)",
    "batch": "choose a smaller --data.image-size",
}
"""What helps where a stage takes most of the time."""


@dataclass(frozen=True, kw_only=True)
class Options(recipe_line.Overrides):
    """Options of the measurement, beside those of the recipe and its run."""

    images: int = 1024
    """Images in a round."""
    rounds: int = 5
    """Measurements of each; one more comes before, uncounted."""
    json: Path | None = None
    """A file for what was measured, in JSON; preflight.py --host-input takes it."""
    overwrite: bool = False
    """Replace that file if it is there already."""

    def _check(self) -> None:
        self._at_least(1, "images", "rounds")


FLAGS = command_line.flags_by_argument(Options)


def main(arguments: Sequence[str]) -> int:
    """Prints what was measured, and what follows from it; returns the exit status."""
    arguments = list(arguments)
    if not arguments or (arguments[0].startswith("--") and arguments[0] not in ("--help", "--list")):
        arguments = ["imagenet-resnet50", *arguments]
    name, words = recipe_line.first_word(arguments, __doc__, recipe_line.listing())
    try:
        recipe, run = recipe_line.find(name)
        options = recipe_line.override(Options, recipe, run, words, name)
        if options.run.strategy not in ("one_device", "mirrored"):
            rule = "one_device or mirrored, as the input of one host is measured"
            validation.refuse("strategy", rule, options.run.strategy)
    except (ValueError, OSError) as error:
        refusal.refuse(error, command_line.flags_by_argument(Options, words))
    recipe = recipe_line.changed(recipe, options)
    return program.answer(lambda options: report(recipe, options), options, flags=FLAGS)


def report(recipe: Recipe, options: Options) -> int:
    """Measures, prints, writes; returns the exit status.

    Raises:
        ValueError, OSError: if the data are not there, damaged, or do not fit.
    """
    run, images, rounds = options.run, options.images, options.rounds
    if options.json is not None:
        outputs.check_file(options.json, overwrite=options.overwrite, argument="json", suffixes=(".json",))
    with startup.loading():
        import keras

        from keras_resnet.data.datasets.loading import naming_damaged_images
        from keras_resnet.data.encoded_splits import EncodedSplit
        from keras_resnet.experiment import backends, build
        from keras_resnet.host import processors

    size = recipe.training.global_batch_size
    kind = backends.choose(recipe, run)
    processes = kind.connect(
        strategy=run.strategy, replicas=run.replicas, global_batch_size=size, timeout=run.join_timeout
    )
    data = build.load_data(recipe, run, print)
    split, batch = data.train, min(size, images)
    images = images // batch * batch
    cores = processors.count()
    print(f"{recipe.name}: {describe(split)}; {images:,} images in a round, {rounds} rounds, {cores} cores")

    road = importlib.import_module(ROADS[keras.backend.backend()])
    with tempfile.TemporaryDirectory(prefix="keras_resnet-") as folder, naming_damaged_images(data, print):
        tasks: dict[str, Task] = {}
        compared: dict[str, Task] = {}
        augmentation = recipe.data.augmentation
        if isinstance(split, EncodedSplit):
            tasks |= road.stages(split, augmentation, batch, images)
            photographs = as_files(split, Path(folder))
            others = baselines(photographs.paths, size=split.image_size, batch=batch, images=images, cores=cores)
            if others:
                compared = {
                    SAME_VIEW: road.whole(photographs, ("random-resized-crop", "flip"), batch, images, 0),
                    **others,
                }
        tasks[WHOLE] = road.whole(split, augmentation, batch, images, recipe.data.padding)
        tasks[NETWORK] = network(recipe, run, data, kind, processes)
        speeds = measure(tasks | compared, rounds)

    medians = {name: statistics.median(measured) for name, measured in speeds.items()}
    print(table({name: medians[name] for name in tasks}, cores))
    for name in compared:
        print(f"{name:46}{medians[name]:9,.0f} images/s   {ratio(speeds[SAME_VIEW], speeds[name]):.2f}")
    said = verdict({name: medians[name] for name in tasks}, cores=cores, shared=on_cpu(processes))
    print("\n".join(said))
    if options.json is not None:
        found = {
            "recipe": recipe.name,
            "backend": keras.backend.backend(),
            "devices": list(processes.devices),
            "image_shape": list(split.image_shape),
            "cores": cores,
            "images": images,
            "images_per_second": {name: round(speed, 1) for name, speed in medians.items()},
            input_file.SPEED: round(medians[WHOLE], 1),
            "verdict": said,
        }
        files.write(options.json, files.as_json(found), outputs.remedy("json"))
    return 0


def on_cpu(processes: Processes) -> bool:
    """Whether the network computes on the cores that prepare its input."""
    return "CPU" in processes.devices[0].upper()


def describe(split: Split) -> str:
    """The images in words."""
    height, width, _ = split.image_shape
    return f"{split.size:,} training images, seen as {width}x{height}"


def as_files(split: EncodedSplit, folder: Path) -> FileSplit:
    """Some of the photographs of a split, in files of their own."""
    from keras_resnet.data.encoded_splits import FileSplit

    count = min(split.size, FILES)
    paths = [folder / f"{index}.jpg" for index in range(count)]
    for index, path in enumerate(paths):
        path.write_bytes(split.read(index))
    return FileSplit(tuple(map(str, paths)), split.labels[:count], split.image_size)


def network(recipe: Recipe, run: Run, data: Data, kind: type[Backend], processes: Processes) -> Task:
    """Trains the network of a recipe on noise that is in memory."""
    from keras_resnet.experiment import backends
    from keras_resnet.training import batch_sizes

    settings, replicas = recipe.training, processes.replicas
    share = batch_sizes.per_replica_batch_size(settings.global_batch_size, replicas, settings.accumulation)
    share = min(share, CPU_BATCH) if on_cpu(processes) else share
    normalized = settings.normalization_batch_size
    normalized = normalized if normalized and share % normalized == 0 else None
    smaller = replace(settings, global_batch_size=share * replicas, accumulation=1, normalization_batch_size=normalized)
    images = noise.images(share * replicas, data.image_shape, len(data.class_names))
    backend = backends.make(
        kind, processes, replace(recipe, training=smaller), run, replace(data, train=images.split), images=images
    )
    return noise.training(backend, share * replicas, iterations=1 if on_cpu(processes) else 20)


def table(medians: dict[str, float], cores: int) -> str:
    """Images per second of each stage with all before it, and the time that it adds."""
    lines = [f"{'':18}images/s   per core   ms of a core that it adds to an image"]
    before = 0.0
    for name, speed in medians.items():
        if name == NETWORK:
            lines.append(f"{name:16}{speed:10,.1f}")
            continue
        spent = 1000 * cores / speed
        lines.append(f"{name:16}{speed:10,.0f}{speed / cores:11,.0f}{max(0.0, spent - before):12.3f}")
        before = spent
    return "\n".join(lines)


def slowest(medians: dict[str, float]) -> str:
    """The stage that adds most to the time of an image."""
    times = {name: 1 / speed for name, speed in medians.items() if name != NETWORK}
    times["batch"] = times.pop(WHOLE)
    names = list(times)
    added = {name: times[name] - (times[names[k - 1]] if k else 0.0) for k, name in enumerate(names)}
    return max(added, key=lambda name: added[name])


def verdict(medians: dict[str, float], *, cores: int, shared: bool) -> list[str]:
    """Whether the network waits for its input, and what to change.

    Args:
        medians: Images per second of the stages, of `WHOLE` and of `NETWORK`.
        cores: That prepare the input.
        shared: Whether the network computes on the same cores.
    """
    supply, demand = medians[WHOLE], medians[NETWORK]
    much = f"{supply:,.0f} images/s come, and the network takes {demand:,.0f}"
    if shared:
        share = 100 * (1 / supply) / (1 / supply + 1 / demand)
        lines = [f"{much} when it has all cores. Both share them: the input takes {share:.0f}% of the time"]
        if share < 100 * (1 - 1 / AMPLE):
            return [*lines, "not input-bound: leave the input as it is"]
        lines.append(f"input-bound in part. What takes most of the input's time is: {slowest(medians)}")
        return [*lines, f"to change it, {REMEDIES[slowest(medians)]}"]
    if supply >= AMPLE * demand:
        return [f"{much}: not input-bound, leave the input as it is"]
    needed = math.ceil(cores * AMPLE * demand / supply)
    degree = "input-bound" if supply < demand else "about to be input-bound"
    waits = f", and the devices wait {100 * (1 - supply / demand):.0f}% of the time" if supply < demand else ""
    return [
        f"{much}: {degree}{waits}. What takes most of the input's time is: {slowest(medians)}",
        f"to change it, {REMEDIES[slowest(medians)]}; or have {needed} cores instead of {cores}",
    ]
