from __future__ import annotations

import re

import pytest
from catalog import RECIPES

from keras_resnet.config import Recipe


def test_recipes_are_named_by_their_keys():
    assert all(recipe.name == name for name, recipe in RECIPES.items())


def test_no_two_recipes_are_the_same():
    assert len({recipe.fingerprint for recipe in RECIPES.values()}) == len(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_says_in_one_line_what_to_expect_and_survives_json(recipe):
    assert recipe.description
    assert "\n" not in recipe.description
    assert Recipe.from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_is_what_its_name_says(recipe):
    dataset, kind, depth = re.fullmatch(r"(\w+)-(resnet|plain)(\d+)", recipe.name).groups()
    assert recipe.data.dataset == dataset
    assert recipe.model.depth == int(depth)
    assert (recipe.model.shortcut is None) == (kind == "plain")


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
@pytest.mark.parametrize("depth", [32, 44, 56])
def test_the_depths_of_table_6_differ_in_nothing_else(dataset, depth):
    base, deeper = RECIPES[f"{dataset}-resnet20"], RECIPES[f"{dataset}-resnet{depth}"]
    assert base.differences(deeper) == [f"model.depth: 20 -> {depth}"]


@pytest.mark.parametrize("depth", [20, 32, 44, 56])
def test_a_plain_network_differs_in_its_shortcut_alone(depth):
    differences = RECIPES[f"cifar10-resnet{depth}"].differences(RECIPES[f"cifar10-plain{depth}"])
    assert differences == ["model.shortcut: 'A' -> None"]


@pytest.mark.parametrize("name", ["cifar10-resnet110", "cifar10-resnet1202", "cifar100-resnet110"])
def test_only_the_deepest_wait_for_the_error_gate(name):
    base, deepest = RECIPES["cifar10-resnet56"], RECIPES[name]
    assert "schedule.name: 'steps' -> 'error-gate'" in base.differences(deepest)
    assert (deepest.schedule.gate_learning_rate, deepest.schedule.gate_error) == (0.01, 80.0)
    gated = {name for name, recipe in RECIPES.items() if recipe.schedule.name == "error-gate"}
    assert gated == {"cifar10-resnet110", "cifar10-resnet1202", "cifar100-resnet110"}


def test_the_cifar_recipe_is_that_of_section_4_2():
    recipe = RECIPES["cifar10-resnet20"]
    schedule = recipe.schedule
    assert (schedule.learning_rate, schedule.factor) == (0.1, 0.1)
    assert (schedule.boundaries, schedule.iterations) == ((32_000, 48_000), 64_000)
    assert (recipe.optimizer.momentum, recipe.optimizer.weight_decay, recipe.optimizer.nesterov) == (0.9, 1e-4, False)
    assert (recipe.data.augmentation, recipe.data.padding) == ("crop-flip", 4)
    assert recipe.data.normalization == "per-pixel-mean"
    assert recipe.training.global_batch_size == 128
    assert recipe.model.shortcut == "A"
    assert recipe.model.bottleneck_stride == "1x1"


def test_digits_are_not_mirrored():
    assert RECIPES["digits-resnet8"].data.augmentation == "crop"
