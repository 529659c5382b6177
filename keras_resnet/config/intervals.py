"""Intervals that leave a short training something to look at."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from keras_resnet.config.recipe import Recipe

LEAST = 10
"""Rows of the history, and validations, that a training has at least."""


def shortened(recipe: Recipe, keep: Collection[str] = ()) -> Recipe:
    """The recipe with intervals in which it logs and validates ten times at least; an iteration is the shortest.

    They may change the result where a schedule follows the errors: that is why no recipe is shortened by itself.

    Args:
        recipe: Of a short training.
        keep: Of `"log_every"` and `"validate_every"`, those that stay as they are.
    """
    longest = max(1, recipe.schedule.scaled_iterations // LEAST)
    names = {"log_every", "validate_every"}.difference(keep)
    every = {name: min(getattr(recipe.training, name), longest) for name in names}
    return replace(recipe, training=replace(recipe.training, **every))
