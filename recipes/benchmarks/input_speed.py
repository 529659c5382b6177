"""Measure how fast images come from the disk to the network, stage by stage, and whether the network waits for them.

    python recipes/benchmark.py input [RECIPE] --run.data-directory DIR [--images 1024] [--rounds 5] [flags of train.py]

--run.cache keeps the images in memory, encoded or decoded. Measurements are interleaved, on the training images of
RECIPE (imagenet-resnet50 unless said), --images of them in each of --rounds.
"""

from __future__ import annotations

import math
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.baselines import baselines
from benchmarks.interleaved import Task, measure, ratio
from cli import command_line, program, recipe_line, refusal, startup
from keras_resnet import validation

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_resnet.config.recipe import Recipe
    from keras_resnet.config.run import Run
    from keras_resnet.data.datasets.loading import Data
    from keras_resnet.data.encoded_splits import EncodedSplit, FileSplit
    from keras_resnet.data.splits import Split

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
    return program.answer(
        lambda options: report(recipe, options.run, options.images, options.rounds), options, flags=FLAGS
    )


def report(recipe: Recipe, run: Run, images: int, rounds: int) -> int:
    """Measures, prints; returns the exit status.

    Raises:
        ValueError, OSError: if the data are not there, damaged, or do not fit.
    """
    with startup.loading():
        from keras_resnet.data.datasets.loading import naming_damaged_images
        from keras_resnet.data.encoded_splits import EncodedSplit
        from keras_resnet.experiment import build
        from keras_resnet.host import processors
        from keras_resnet.training.tensorflow import strategies

    strategy = strategies.STRATEGIES[run.strategy](run.replicas, recipe.training.global_batch_size, run.join_timeout)
    data = build.load_data(recipe, run, print)
    split, batch = data.train, min(recipe.training.global_batch_size, images)
    images = images // batch * batch
    cores = processors.count()
    print(f"{recipe.name}: {describe(split)}; {images:,} images in a round, {rounds} rounds, {cores} cores")

    with tempfile.TemporaryDirectory(prefix="keras_resnet-") as folder, naming_damaged_images(data, print):
        tasks = stages(split, recipe, batch, images)
        compared: dict[str, Task] = {}
        if isinstance(split, EncodedSplit):
            files = as_files(split, Path(folder))
            others = baselines(files.paths, size=split.image_size, batch=batch, images=images, cores=cores)
            if others:
                compared = {
                    SAME_VIEW: consumer(whole(files, ("random-resized-crop", "flip"), batch, images, 0), images),
                    **others,
                }
        with strategy.scope():
            tasks[NETWORK] = network(recipe, run, data, strategy)
        speeds = measure(tasks | compared, rounds)

    medians = {name: statistics.median(measured) for name, measured in speeds.items()}
    print(table({name: medians[name] for name in tasks}, cores))
    for name in compared:
        print(f"{name:46}{medians[name]:9,.0f} images/s   {ratio(speeds[SAME_VIEW], speeds[name]):.2f}")
    print("\n".join(verdict({name: medians[name] for name in tasks}, cores=cores, shared=on_cpu(strategy))))
    return 0


def on_cpu(strategy: tf.distribute.Strategy) -> bool:
    """Whether the network computes on the cores that prepare its input."""
    from keras_resnet.training.tensorflow import strategies

    return "CPU" in strategies.device_names(strategy)[0].upper()


def describe(split: Split) -> str:
    """The images in words."""
    height, width, _ = split.image_shape
    return f"{split.size:,} training images, seen as {width}x{height}"


def stages(split: Split, recipe: Recipe, batch: int, images: int) -> dict[str, Task]:
    """The pipeline up to each of its stages, the last being the whole one; all of a stage but its result is dropped."""
    from keras_resnet.data.encoded_splits import EncodedSplit

    augmentation = recipe.data.augmentation
    found = {}
    if isinstance(split, EncodedSplit):
        for name, stage in steps(split, augmentation).items():
            found[name] = consumer(staged(split, stage, augmentation, batch, images), images)
    found[WHOLE] = consumer(whole(split, augmentation, batch, images, recipe.data.padding), images)
    return found


def steps(split: EncodedSplit, augmentation: Sequence[str]) -> dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]]:
    """What is done to one image, each step with all before it, giving no more than a number or a few."""
    import tensorflow as tf

    from keras_resnet.data.tensorflow.augmentation.encoded import CROPS, augment, cropped
    from keras_resnet.data.tensorflow.sources import source

    size, images = split.image_size, source(split)
    found = {"read": lambda index, draws: tf.strings.length(images.fetch(index))}
    if CROPS.keys() & set(augmentation):
        found["decode"] = lambda index, draws: images.map_image(
            lambda image: tf.shape(cropped(image, draws, augmentation, size)), index
        )
    found["augment"] = lambda index, draws: images.map_image(
        lambda image: augment(image, draws, augmentation, size)[0, 0], index
    )
    return found


def elements(split: Split, augmentation: Sequence[str], images: int) -> tf.data.Dataset:
    """What images are drawn by, in training's order; an end, so that nothing is prepared that nobody will count."""
    from keras_resnet.data.tensorflow import order
    from keras_resnet.facts.augmentation import draws

    return order.stream(split.size, draws(augmentation), seed=0).take(images)


def staged(
    split: EncodedSplit, stage: Callable, augmentation: Sequence[str], batch: int, images: int
) -> tf.data.Dataset:
    """Batches of what a stage gives, made as those of the whole pipeline are."""
    import tensorflow as tf

    from keras_resnet.data import splits
    from keras_resnet.data.tensorflow import batches

    # Left as it is: AutoGraph would lose what the functions of a stage refer to.
    stage = tf.autograph.experimental.do_not_convert(stage)
    drawn = elements(split, augmentation, images)
    results = drawn.map(stage, num_parallel_calls=2 * splits.PARALLEL_CALLS, deterministic=True)
    return results.batch(batch).prefetch(2).with_options(batches.options())


def whole(split: Split, augmentation: Sequence[str], batch: int, images: int, padding: int) -> tf.data.Dataset:
    """The pipeline as training has it."""
    from keras_resnet.data.tensorflow import batches, pipelines

    drawn = elements(split, augmentation, images)
    made = pipelines.batches(split, drawn, batch, augmentation, padding=padding, drop_remainder=True)
    return made.prefetch(2).with_options(batches.options())


def consumer(dataset: tf.data.Dataset, images: int) -> Task:
    """Takes all images of a pipeline."""

    def run() -> int:
        for _ in dataset:
            pass
        return images

    return run


def as_files(split: EncodedSplit, folder: Path) -> FileSplit:
    """Some of the photographs of a split, in files of their own."""
    from keras_resnet.data.encoded_splits import FileSplit

    count = min(split.size, FILES)
    paths = [folder / f"{index}.jpg" for index in range(count)]
    for index, path in enumerate(paths):
        path.write_bytes(split.read(index))
    return FileSplit(tuple(map(str, paths)), split.labels[:count], split.image_size)


def network(recipe: Recipe, run: Run, data: Data, strategy: tf.distribute.Strategy) -> Task:
    """Trains the network of a recipe on noise that is on the devices already."""
    import tensorflow as tf

    from keras_resnet.experiment import backends
    from keras_resnet.training import batch_sizes
    from keras_resnet.training.tensorflow import strategies
    from keras_resnet.training.tensorflow.backend import TensorFlowBackend
    from keras_resnet.training.tensorflow.multi_step import multi_step
    from keras_resnet.training.tensorflow.processes import StrategyProcesses

    settings, replicas = recipe.training, strategy.num_replicas_in_sync
    share = batch_sizes.per_replica_batch_size(settings.global_batch_size, replicas, settings.accumulation)
    share = min(share, CPU_BATCH) if on_cpu(strategy) else share
    normalized = settings.normalization_batch_size
    normalized = normalized if normalized and share % normalized == 0 else None
    smaller = replace(settings, global_batch_size=share * replicas, accumulation=1, normalization_batch_size=normalized)
    smaller_recipe = replace(recipe, training=smaller)
    backend = backends.make(TensorFlowBackend, StrategyProcesses(strategy), smaller_recipe, run, data)

    def make(**_: int) -> tf.data.Dataset:
        images = tf.cast(tf.random.stateless_uniform([share, *data.image_shape], [0, 0], maxval=256), tf.uint8)
        labels = tf.random.stateless_uniform([share], [0, 1], maxval=len(data.class_names), dtype=tf.int32)
        return tf.data.Dataset.from_tensors((images, labels)).repeat()

    count = 1 if on_cpu(strategy) else 20
    train = multi_step(backend.replica, strategy=strategy, steps_per_execution=count)
    noise = iter(strategies.batches(strategy, make))
    rates = tf.zeros([count])

    def run_once() -> int:
        train(noise, rates)[0].numpy()
        return share * replicas * count

    return run_once


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
