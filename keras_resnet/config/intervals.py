"""Intervals that leave a short training something to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from keras_resnet.config.recipe import Recipe

LEAST = {"log_every": 10, "validate_every": 10}
"""Rows of the history, and validations, that a training has at least."""


def shortened(recipe: Recipe, least: Mapping[str, int] = LEAST) -> Recipe:
    """The recipe with intervals in which it logs and validates a few times at least; an iteration is the shortest.

    They may change the result where a schedule follows the errors: that is why no recipe is shortened by itself.

    Args:
        recipe: Of a short training.
        least: How many times, by `"log_every"` and `"validate_every"`; one that is not there stays as it is.
    """
    iterations = recipe.schedule.scaled_iterations
    every = {name: min(getattr(recipe.training, name), max(1, iterations // times)) for name, times in least.items()}
    return replace(recipe, training=replace(recipe.training, **every))
