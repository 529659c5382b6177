"""The recipes, each as its difference from another, in a file for each data set or paper.

A file's first lines say the command, the hardware, the result to expect and where the recipe comes from.

    python recipes/train.py --list
    python recipes/train.py digits-resnet8
"""

from __future__ import annotations

from catalog import cifar, digits, folder, goyal, imagenet, lars
from keras_resnet.config.recipe import Recipe

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for file in (digits, cifar, imagenet, goyal, lars, folder) for recipe in file.RECIPES
}
"""Every recipe by its name."""
