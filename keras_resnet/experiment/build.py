"""From a recipe to the parts that it asks for: images, network, optimizer, schedule."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.config.recipe import ModelConfig, Recipe
from keras_resnet.config.run import Run
from keras_resnet.data import batches, statistics
from keras_resnet.data.datasets import loading
from keras_resnet.data.datasets.loading import Data
from keras_resnet.models import input_normalization
from keras_resnet.models.layers.batch_normalization import set_normalization_batch_size
from keras_resnet.models.residual_network import ResidualNetwork
from keras_resnet.models.resnet import BUILDERS
from keras_resnet.optimization import losses
from keras_resnet.optimization.optimizers import OPTIMIZERS
from keras_resnet.optimization.schedules import SCHEDULES, Schedule
from keras_resnet.training.tensorflow import strategies
from keras_resnet.training.tensorflow.loss_scale import LossScale
from keras_resnet.training.tensorflow.moving_average import Average
from keras_resnet.training.tensorflow.replica import Replica
from keras_resnet.training.tensorflow.variables import differs_between_replicas


def load_data(recipe: Recipe, run: Run, tell: loading.Tell = lambda line: None) -> Data:
    """The splits of the recipe's data set; `tell` is told of what takes long."""
    return loading.load(
        recipe.data.dataset,
        run.data_directory,
        holdout=recipe.data.holdout,
        image_size=recipe.data.image_size,
        cache=run.cache,
        tell=tell,
    )


def training_batches(
    recipe: Recipe, data: Data, strategy: tf.distribute.Strategy, first_iteration: int, parts: int | None = None
) -> tf.distribute.DistributedDataset:
    """The endless batches of a recipe from an iteration on; `parts` for each, by default as many as it accumulates."""
    parts = parts or recipe.training.accumulation
    make = functools.partial(
        batches.training_batches,
        data.train,
        global_batch_size=recipe.training.global_batch_size // parts,
        augmentation=recipe.data.augmentation,
        padding=recipe.data.padding,
        seed=recipe.training.seed,
        first_iteration=first_iteration * parts,
    )
    return strategies.batches(strategy, make)


def statistics_batches(recipe: Recipe, data: Data, strategy: tf.distribute.Strategy, images: int) -> Iterator:
    """Batches whose statistics are taken together, over the first images that a training sees, as it sees them.

    They are the images of whole iterations, and divided as training divides them for batch normalization: what comes
    out depends on the devices no more than the training does.

    Args:
        recipe: Of the training.
        data: Its images.
        strategy: The devices.
        images: How many, rounded up to whole iterations; beyond an epoch they come again, with another augmentation.
    """
    training = recipe.training
    per_replica = strategies.per_replica_batch_size(training.global_batch_size, strategy, training.accumulation)
    together = min(training.normalization_batch_size or per_replica, per_replica)
    parts = training.global_batch_size // (together * strategy.num_replicas_in_sync)
    iterations = math.ceil(images / training.global_batch_size)
    return itertools.islice(training_batches(recipe, data, strategy, 0, parts), iterations * parts)


def build_replica(recipe: Recipe, data: Data, *, xla: bool = False) -> Replica:
    """Network, optimizer and what else learns; in the scope of the strategy."""
    network = build_network(recipe, data)
    set_normalization_batch_size(network, recipe.training.normalization_batch_size)
    momentum = recipe.optimizer.ema_momentum
    return Replica(
        network,
        build_optimizer(recipe, network),
        global_batch_size=recipe.training.global_batch_size,
        loss=functools.partial(losses.cross_entropy, smoothing=recipe.training.label_smoothing),
        global_clipnorm=recipe.optimizer.global_clipnorm,
        loss_scale=LossScale() if recipe.training.precision == "mixed_float16" else None,
        average=None if momentum is None else Average(network, momentum),
        xla=xla,
    )


def build_network(recipe: Recipe, data: Data) -> ResidualNetwork:
    """The network with its normalization in front: from images of 0 to 255 to logits.

    What is saved therefore needs no preprocessing, and cannot be given the wrong one.
    """
    keras.utils.set_random_seed(recipe.training.seed)
    mean, deviation = statistics.mean_and_deviation(data.train, recipe.data.normalization)
    with dtype_policy(recipe.training.precision):
        image = keras.Input(data.image_shape, dtype="uint8", name="image")
        return BUILDERS[recipe.model.family](
            recipe.model.depth,
            input_tensor=input_normalization.layer(mean, deviation)(image),
            classes=len(data.class_names),
            classifier_activation=None,
            **network_options(recipe.model),
        )


def network_options(model: ModelConfig) -> dict[str, Any]:
    """The keyword-only arguments of the builder that a model's configuration has."""
    options = {name: value for name, value in vars(model).items() if name not in ("family", "depth")}
    if model.family == "imagenet":
        del options["block"]
    return options


def build_optimizer(recipe: Recipe, network: keras.Model) -> keras.optimizers.Optimizer:
    """The optimizer, with its variables."""
    settings = recipe.optimizer
    optimizer = OPTIMIZERS[settings.name](
        learning_rate=recipe.schedule.learning_rate,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        coupled_weight_decay=settings.weight_decay,
        trust_coefficient=settings.trust_coefficient,
    )
    optimizer.build(network.trainable_variables)
    return optimizer


def build_schedule(recipe: Recipe) -> Schedule:
    """The schedule, with everything that is counted in iterations scaled."""
    settings = recipe.schedule
    scaled = {
        "iterations": settings.scaled_iterations,
        "boundaries": settings.scaled_boundaries,
        "warmup_iterations": settings.scaled_warmup_iterations,
    }
    return SCHEDULES[settings.name](**(vars(settings) | scaled))


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Sets Keras's dtype policy for the layers that are made inside."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def portable(recipe: Recipe, data: Data, network: ResidualNetwork, values: dict[str, np.ndarray]) -> ResidualNetwork:
    """The network as a process without any other keeps it: outside of all strategies, with the mean statistics."""
    copy = build_network(recipe, data)
    apart = {f"model/{v.path}" for v in network.variables if differs_between_replicas(v)}
    for variable in copy.variables:
        name = f"model/{variable.path}"
        variable.assign(values[name].mean(axis=0) if name in apart else values[name])
    return copy
