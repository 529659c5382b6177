"""From a recipe to the parts that it asks for: images, network, optimizer, schedule."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_resnet.config.recipe import ModelConfig, Recipe
from keras_resnet.config.run import Run
from keras_resnet.data import statistics
from keras_resnet.data.datasets import loading
from keras_resnet.data.datasets.loading import Data
from keras_resnet.models import input_normalization
from keras_resnet.models.residual_network import ResidualNetwork
from keras_resnet.models.resnet import BUILDERS
from keras_resnet.optimization.optimizers import OPTIMIZERS
from keras_resnet.optimization.schedules import SCHEDULES, Schedule
from keras_resnet.training.backend import TrainingImages
from keras_resnet.training.variable_names import differs_between_replicas


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


def training_images(recipe: Recipe, data: Data) -> TrainingImages:
    """The training images of a recipe, in its order and with its augmentation."""
    return TrainingImages(data.train, recipe.data.augmentation, recipe.data.padding, recipe.training.seed)


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


def portable(recipe: Recipe, data: Data, values: Mapping[str, np.ndarray]) -> ResidualNetwork:
    """The network as a process without any other keeps it: outside of all strategies, with the mean statistics.

    Args:
        recipe: Of the training.
        data: Its images.
        values: What `Backend.read` gave.
    """
    copy = build_network(recipe, data)
    for variable in copy.variables:
        value = values[f"model/{variable.path}"]
        variable.assign(value.mean(axis=0) if differs_between_replicas(variable) else value)
    return copy
