"""From a recipe to what it needs no images for: the network and its optimizer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_resnet.config.recipe import ModelConfig, Recipe
from keras_resnet.models import input_normalization
from keras_resnet.models.residual_network import ResidualNetwork
from keras_resnet.models.resnet import BUILDERS
from keras_resnet.optimization.optimizers import OPTIMIZERS


def normalized_network(
    recipe: Recipe, *, image_shape: tuple[int, int, int], classes: int, mean: np.ndarray, deviation: np.ndarray
) -> ResidualNetwork:
    """The network with its normalization in front: from images of 0 to 255 to logits.

    Args:
        recipe: Its model and its precision are used.
        image_shape: (height, width, channels).
        classes: Of the images.
        mean: Of the training images, [height, width, channels] or [1, 1, channels].
        deviation: The same.
    """
    with dtype_policy(recipe.training.precision):
        image = keras.Input(image_shape, dtype="uint8", name="image")
        return BUILDERS[recipe.model.family](
            recipe.model.depth,
            input_tensor=input_normalization.layer(mean, deviation)(image),
            classes=classes,
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


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Sets Keras's dtype policy for the layers that are made inside."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
