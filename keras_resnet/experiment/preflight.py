"""From a recipe to what a TPU's compiler says of it: networks, steps and batches for the pre-flight."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import keras
import numpy as np

from keras_resnet.config.recipe import Recipe
from keras_resnet.data.splits import ArraySplit
from keras_resnet.experiment import baseline
from keras_resnet.experiment.network import build_optimizer, normalized_network
from keras_resnet.facts.datasets import DATASETS
from keras_resnet.facts.tpus import Slice
from keras_resnet.models.layers.batch_normalization import set_normalization_batch_size
from keras_resnet.models.layers.replicas import AXIS
from keras_resnet.optimization import losses
from keras_resnet.preflight import topologies
from keras_resnet.preflight.compilation import DoesNotFitError, compiled
from keras_resnet.preflight.largest import largest_batch
from keras_resnet.preflight.program import Program
from keras_resnet.preflight.verdict import Flight
from keras_resnet.training import batch_sizes
from keras_resnet.training.backend import TrainingImages

Tell = Callable[[str], None]
"""Takes a line for the person who waits."""


def _tensorflow() -> ModuleType:
    from keras_resnet.training.tensorflow import precompile

    return precompile


def _jax() -> ModuleType:
    from keras_resnet.training.jax import precompile

    return precompile


ENGINES: dict[str, Callable[[], ModuleType]] = {"jax": _jax, "tensorflow": _tensorflow}
"""What lowers the steps, by the backend of Keras."""


def image_shape(recipe: Recipe) -> tuple[int, int, int]:
    """(height, width, channels) of the images that a recipe's network sees."""
    size = recipe.data.image_side
    return DATASETS[recipe.data.dataset].image_shape or (size, size, 3)


def class_count(recipe: Recipe, classes: int | None) -> int:
    """The classes of a recipe's data set, or of somebody's own.

    Raises:
        ValueError: if the one is not known, or the other is given in its place.
    """
    known = DATASETS[recipe.data.dataset].classes
    if known is None and classes is None:
        raise ValueError(
            f"`classes` must be given with dataset={recipe.data.dataset!r}, whose pictures are not read. Received: None"
        )
    if known is not None and classes not in (None, known):
        raise ValueError(f"`classes` must be {known} with dataset={recipe.data.dataset!r}. Received: classes={classes}")
    return known or classes or 0


def held_images(recipe: Recipe) -> TrainingImages | None:
    """The training images that the devices hold, those of small data sets on the JAX backend; here all are black."""
    data = DATASETS[recipe.data.dataset]
    if keras.backend.backend() != "jax" or not data.image_shape or not data.train:
        return None
    size = data.train - recipe.data.holdout
    split = ArraySplit(np.broadcast_to(np.uint8(0), (size, *data.image_shape)), np.broadcast_to(np.int64(0), (size,)))
    return TrainingImages(split, recipe.data.augmentation, recipe.data.padding, recipe.training.seed)


@dataclass(frozen=True)
class Steps:
    """The steps of a recipe's training, to be compiled for a slice with any number of images a device.

    Args:
        recipe: What may change the result.
        chips: The slice.
        classes: Of the images, where the data set does not say.
        is_baseline: Whether the network is that of `keras.applications`.
    """

    recipe: Recipe
    chips: Slice
    classes: int | None = None
    is_baseline: bool = False

    @functools.cached_property
    def network(self) -> keras.Model:
        """The network; its normalization has no values, which would change nothing here."""
        shape = image_shape(self.recipe)
        if self.is_baseline:
            classes = class_count(self.recipe, self.classes)
            return baseline.network(self.recipe, image_shape=shape, classes=classes)
        of_pixels = shape if self.recipe.data.normalization == "per-pixel-mean" else (1, 1, shape[-1])
        network = normalized_network(
            self.recipe,
            image_shape=shape,
            classes=class_count(self.recipe, self.classes),
            mean=np.full(of_pixels, 127.0, "float32"),
            deviation=np.full((1, 1, shape[-1]), 60.0, "float32"),
        )
        set_normalization_batch_size(network, self.recipe.training.normalization_batch_size)
        return network

    @functools.cached_property
    def optimizer(self) -> keras.optimizers.Optimizer:
        """The optimizer, with its variables."""
        return build_optimizer(self.recipe, self.network)

    @functools.cached_property
    def mesh(self) -> Any:
        """The devices that are compiled for."""
        return topologies.mesh(self.chips, AXIS)

    @property
    def engine(self) -> ModuleType:
        """What lowers them."""
        return ENGINES[keras.backend.backend()]()

    def training(self, batch: int) -> Program:
        """An iteration of so many images a device at a time.

        Raises:
            DoesNotFitError: if the memory of a device is too small.
        """
        training, optimizer = self.recipe.training, self.recipe.optimizer
        held = held_images(self.recipe)
        lower = functools.partial(
            self.engine.lower_training,
            self.network,
            self.optimizer,
            self.mesh,
            per_replica_batch_size=batch,
            image_shape=image_shape(self.recipe),
            accumulation=training.accumulation,
            loss=functools.partial(losses.cross_entropy, smoothing=training.label_smoothing),
            global_clipnorm=optimizer.global_clipnorm,
            ema_momentum=optimizer.ema_momentum,
            scale_loss=training.precision == "mixed_float16",
            **({"held": held} if held else {}),
        )
        return compiled(lower).of_parts(training.accumulation)

    def evaluation(self, batch: int) -> Program:
        """A batch of the evaluation, of so many images a device.

        Raises:
            DoesNotFitError: if the memory of a device is too small.
        """
        lower = functools.partial(
            self.engine.lower_evaluation,
            self.network,
            self.mesh,
            per_replica_batch_size=batch,
            image_shape=image_shape(self.recipe),
        )
        return compiled(lower)


def preflight(
    recipe: Recipe,
    chips: Slice,
    *,
    classes: int | None = None,
    search: bool = False,
    evaluation: bool = True,
    beside_baseline: bool = False,
    host_speed: float | None = None,
    tell: Tell = lambda line: None,
) -> Flight:
    """Compiles the training and the evaluation of a recipe for a slice, with the engine of Keras's backend.

    Args:
        recipe: What may change the result.
        chips: The slice.
        classes: Of the images, where the data set does not say.
        search: Whether to search the largest batch that fits.
        evaluation: Whether to compile the evaluation as well.
        beside_baseline: Whether to compile the training of the network of `keras.applications` as well.
        host_speed: Images a second that a host brings, as measured.
        tell: Takes a line about what takes long.

    Raises:
        ValueError: if the batch cannot be divided over the devices, if it does not fit them (saying what would), or if
            libtpu does not know the slice.
        ModuleNotFoundError: if libtpu or JAX is not installed.
    """
    topologies.require()
    if beside_baseline:
        baseline.check(recipe.model)
    class_count(recipe, classes)
    training = recipe.training
    batch = batch_sizes.per_replica_batch_size(training.global_batch_size, chips.devices, training.accumulation)
    batch_sizes.check_normalization_batch_size(training.normalization_batch_size, batch, chips.devices)
    steps = Steps(recipe, chips, classes)
    known: dict[int, Program | None] = {}

    def measure(images: int) -> int | None:
        if images not in known:
            tell(f"compiling the training of {images:,} images a device for {chips.name}")
            try:
                known[images] = steps.training(images)
            except DoesNotFitError as error:
                tell(f"{images:,} images a device do not fit: {error}")
                known[images] = None
        program = known[images]
        return None if program is None else program.memory.total

    if training.precision == "float32":
        tell("products of float32 become six of bfloat16, whose compilation takes much more time and memory")
    fits = measure(batch) is not None
    largest = None
    if search or not fits:
        allowed = chips.generation.allowed_memory * 2**30
        largest = largest_batch(measure, allowed, {batch: measure(batch)})
    program = known[batch]
    if program is None:
        raise ValueError(too_large(recipe, chips, batch, largest))
    measured = None
    if evaluation:
        tell(f"compiling the evaluation of {batch:,} images a device for {chips.name}")
        measured = steps.evaluation(batch)
    beside = None
    if beside_baseline:
        tell(f"compiling the training of keras.applications for {chips.name}")
        beside = Steps(recipe, chips, classes, is_baseline=True).training(batch)
    return Flight(
        recipe=recipe.name,
        engine=keras.backend.backend(),
        chips=chips,
        batch=batch,
        accumulation=training.accumulation,
        iterations=recipe.schedule.scaled_iterations,
        precision=training.precision,
        training=program,
        evaluation=measured,
        baseline=beside,
        largest=largest,
        host_speed=host_speed,
        collective=keras.backend.backend() == "jax",
        data_set_bytes=held.split.images.nbytes if (held := held_images(recipe)) else 0,
    )


def too_large(recipe: Recipe, chips: Slice, batch: int, largest: int | None) -> str:
    """The error of a batch that does not fit, with what would."""
    asked = recipe.training.global_batch_size
    received = (
        f"Received: global_batch_size={asked}, {batch:,} images on each of {chips.devices:,} devices of {chips.name}"
    )
    if largest is None:
        return (
            f"`global_batch_size` must fit the memory of the devices. {received}, and not even 8 fit. Choose a "
            "generation with more memory, a smaller `image_size`, or `remat`=True"
        )
    parts = next((each for each in range(2, batch + 1) if batch % each == 0 and batch // each <= largest), None)
    divided = f", `accumulation`={parts * recipe.training.accumulation} at the same batch" if parts else ""
    most = largest * chips.devices * recipe.training.accumulation
    times = _times_the_chips(batch, largest)
    return (
        f"`global_batch_size` must fit the memory of the devices. {received}; {largest:,} fit. Choose "
        f"`global_batch_size`={most}{divided}, a slice of {times} times the chips, or `remat`=True"
    )


def _times_the_chips(batch: int, largest: int) -> int:
    """Times the chips with which a batch fits, a power of two as slices have."""
    times = 1
    while batch > times * largest:
        times *= 2
    return times
