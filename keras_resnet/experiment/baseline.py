"""The networks of `keras.applications`, beside which ours are compiled."""

from __future__ import annotations

from collections.abc import Callable

import keras

from keras_resnet.config.recipe import ModelConfig, Recipe
from keras_resnet.experiment.network import dtype_policy

BUILDERS: dict[int, Callable[..., keras.Model]] = {
    50: keras.applications.ResNet50,
    101: keras.applications.ResNet101,
    152: keras.applications.ResNet152,
}
"""By the depth."""


def check(model: ModelConfig) -> None:
    """Refuses a network that `keras.applications` does not have.

    Raises:
        ValueError: naming those that it has.
    """
    if model.family != "imagenet" or model.depth not in BUILDERS:
        known = ", ".join(map(str, BUILDERS))
        raise ValueError(
            f"`baseline` must be False but for family='imagenet' and a depth of {known}, which keras.applications has. "
            f"Received: baseline=True, family={model.family!r}, depth={model.depth}"
        )


def network(recipe: Recipe, *, image_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """The network of a recipe's depth and precision, from images of 0 to 255 to logits.

    Args:
        recipe: One that `check` does not refuse.
        image_shape: (height, width, channels).
        classes: Of the images.
    """
    with dtype_policy(recipe.training.precision):
        image = keras.Input(image_shape, dtype="uint8", name="image")
        pixels = keras.layers.Rescaling(1 / 60, offset=-127 / 60, dtype="float32")(image)
        return BUILDERS[recipe.model.depth](
            weights=None, input_tensor=pixels, classes=classes, classifier_activation=None
        )
