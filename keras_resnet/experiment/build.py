"""From a recipe to the parts that it asks for: images, network, optimizer, schedule."""

from __future__ import annotations

import random
from collections.abc import Mapping

import keras
import numpy as np

from keras_resnet.config.recipe import Recipe
from keras_resnet.config.run import Run
from keras_resnet.data import statistics
from keras_resnet.data.datasets import loading
from keras_resnet.data.datasets.loading import Data
from keras_resnet.experiment.network import build_optimizer, dtype_policy, normalized_network
from keras_resnet.models.residual_network import ResidualNetwork
from keras_resnet.optimization.schedules import SCHEDULES, Schedule
from keras_resnet.training.backend import TrainingImages
from keras_resnet.training.variable_names import differs_between_replicas

__all__ = [
    "assign",
    "build_network",
    "build_optimizer",
    "build_schedule",
    "dtype_policy",
    "load_data",
    "portable",
    "seed",
    "training_images",
]


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
    seed(recipe.training.seed)
    mean, deviation = statistics.mean_and_deviation(data.train, recipe.data.normalization)
    return normalized_network(
        recipe, image_shape=data.image_shape, classes=len(data.class_names), mean=mean, deviation=deviation
    )


def seed(number: int) -> None:
    """Has the initial values of layers that are made next, and what random layers draw, follow from a number.

    Keras takes the seeds of layers from Python's generator. Its own function does more, but loads TensorFlow wherever
    that is installed.
    """
    if keras.backend.backend() == "tensorflow":
        keras.utils.set_random_seed(number)
    else:
        random.seed(number)
        np.random.seed(number)


def build_schedule(recipe: Recipe) -> Schedule:
    """The schedule, with everything that is counted in iterations scaled."""
    settings = recipe.schedule
    scaled = {
        "iterations": settings.scaled_iterations,
        "boundaries": settings.scaled_boundaries,
        "warmup_iterations": settings.scaled_warmup_iterations,
    }
    return SCHEDULES[settings.name](**(vars(settings) | scaled))


def portable(recipe: Recipe, data: Data, values: Mapping[str, np.ndarray]) -> ResidualNetwork:
    """The network as a process without any other keeps it: outside of all strategies, with the mean statistics.

    Args:
        recipe: Of the training.
        data: Its images.
        values: What `Backend.read` gave.
    """
    copy = build_network(recipe, data)
    assign(copy, values)
    return copy


def assign(network: ResidualNetwork, values: Mapping[str, np.ndarray]) -> None:
    """Gives a network outside of all strategies what `Backend.read` gave of the same network."""
    for variable in network.variables:
        value = values[f"model/{variable.path}"]
        variable.assign(value.mean(axis=0) if differs_between_replicas(variable) else value)
