"""Words become the values of a recipe's fields, and the values words again, as on a command line."""

from __future__ import annotations

from dataclasses import fields

import pytest

from catalog import RECIPES
from cli import recipe_line
from keras_resnet.search import axes


@pytest.mark.parametrize("name", axes.FIELDS)
def test_the_values_of_all_recipes_survive_their_words(name):
    section, field = name.split(".")
    values = {getattr(getattr(recipe, section), field) for recipe in RECIPES.values()}
    for value in values:
        _, *words = axes.flag(name, value)
        word = " ".join(words) if words or axes.FIELDS[name] is not bool else str(value)
        read = axes.read_word(name, word)
        assert (read, type(read)) == (value, type(value))


def test_words_mean_what_they_mean_on_a_command_line():
    recipe, run = recipe_line.find("cifar10-resnet20")
    words = {
        "model.shortcut": "None",
        "model.remat": "True",
        "model.preactivation": "True",
        "schedule.boundaries": "100 200",
        "schedule.learning_rate": "1",
        "optimizer.weight_decay": "5e-5",
        "optimizer.global_clipnorm": "0.5",
    }
    values = {name: axes.read_word(name, word) for name, word in words.items()}
    flags = [word for given in axes.flags(values).values() for word in given]
    chosen = recipe_line.override(recipe_line.Overrides, recipe, run, flags, "cifar10-resnet20")
    assert recipe_line.changed(recipe, chosen) == axes.changed(recipe, values)


def test_every_field_of_a_recipe_may_be_an_axis():
    sections = {field.name for field in fields(recipe_line.Overrides)} - {"run"}
    assert {name.split(".")[0] for name in axes.FIELDS} == sections
