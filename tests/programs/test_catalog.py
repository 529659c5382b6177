"""The recipes, and a text of all of them that shows what a change does: `RECIPES_TXT`.

PYTHONPATH=recipes python tests/programs/test_catalog.py     writes it anew
"""

from __future__ import annotations

import difflib
import json
import re
from importlib import import_module
from pathlib import Path

import pytest

import catalog
from catalog import RECIPES
from keras_resnet import validation
from keras_resnet.config.recipe import OptimizerConfig, Recipe

RECIPES_TXT = Path(__file__).with_name("recipes.txt")


def resolved() -> str:
    """Every field of every recipe that differs from its default."""
    return "".join(
        f"{name}.{field} = {json.dumps(value)}\n"
        for name, recipe in RECIPES.items()
        for field, value in validation.leaves(recipe.changes())
    )


def test_the_recipes_are_those_of_the_text():
    command = "PYTHONPATH=recipes python tests/programs/test_catalog.py"
    before, now = RECIPES_TXT.read_text(encoding="utf-8").splitlines(), resolved().splitlines()
    changes = [line for line in difflib.ndiff(before, now) if line[0] in "+-"]
    assert not changes, f"If these changes are meant, write {RECIPES_TXT.name} anew: {command}"


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
    name = r"(\w+)-(resnet|plain)(\d+)(?:-goyal|-goyal-\d+k?|-lars-\d+k)?"
    dataset, kind, depth = re.fullmatch(name, recipe.name).groups()
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
    assert (recipe.data.augmentation, recipe.data.padding) == (("pad-crop", "flip"), 4)
    assert recipe.data.normalization == "per-pixel-mean"
    assert recipe.training.global_batch_size == 128
    assert recipe.model.shortcut == "A"
    assert recipe.model.bottleneck_stride == "1x1"


IMAGENET = [18, 34, 50, 101, 152]


@pytest.mark.parametrize("name", [*(f"imagenet-resnet{depth}" for depth in IMAGENET), "imagenet-plain18"])
def test_the_imagenet_recipes_are_those_of_section_3_4(name):
    recipe = RECIPES[name]
    schedule, training = recipe.schedule, recipe.training
    assert (schedule.name, schedule.learning_rate, schedule.factor) == ("plateau", 0.1, 0.1)
    assert schedule.iterations == 600_000
    assert (training.global_batch_size, training.normalization_batch_size) == (256, 32)
    assert recipe.optimizer == OptimizerConfig("sgd", momentum=0.9, nesterov=False, weight_decay=1e-4)
    assert recipe.data.augmentation == ("random-scale-crop", "flip", "color-noise")
    assert recipe.data.normalization == "per-pixel-mean"
    assert recipe.data.image_size == 224
    assert recipe.model.bottleneck_stride == "1x1"


def test_the_shallow_imagenet_networks_have_no_parameters_in_their_shortcuts():
    assert [RECIPES[f"imagenet-resnet{depth}"].model.shortcut for depth in IMAGENET] == ["A", "A", "B", "B", "B"]


@pytest.mark.parametrize("depth", [18, 34])
def test_a_plain_imagenet_network_differs_in_its_shortcut_alone(depth):
    differences = RECIPES[f"imagenet-resnet{depth}"].differences(RECIPES[f"imagenet-plain{depth}"])
    assert differences == ["model.shortcut: 'A' -> None"]


GOYAL = {recipe.training.global_batch_size: recipe for name, recipe in RECIPES.items() if "-goyal" in name}
LARS = {recipe.training.global_batch_size: recipe for name, recipe in RECIPES.items() if "-lars" in name}


def epochs(recipe, iterations):
    return iterations * recipe.training.global_batch_size / 1_281_167


@pytest.mark.parametrize("batch", [256, 512, 1024, 2048, 4096, 8192])
def test_the_learning_rate_of_goyal_et_al_grows_with_the_batch(batch):
    recipe = GOYAL[batch]
    schedule = recipe.schedule
    assert schedule.learning_rate == pytest.approx(0.1 * batch / 256)
    assert [round(epochs(recipe, k)) for k in (*schedule.boundaries, schedule.iterations)] == [30, 60, 80, 90]
    assert recipe.training.normalization_batch_size == 32
    assert (recipe.model.zero_gamma, recipe.model.bottleneck_stride) == (True, "3x3")
    warmed_up = (0.1, 5) if batch > 256 else (0.0, 0)
    assert (schedule.warmup_learning_rate, round(epochs(recipe, schedule.warmup_iterations))) == warmed_up
    assert str(batch if batch < 1024 else f"{batch // 1024}k") in recipe.name or batch == 256


@pytest.mark.parametrize(
    ("batch", "rate", "warmup", "decay", "momentum", "length"),
    [(32_768, 21.2, 16, 2.5e-5, 0.94, 56.0), (65_536, 24.699, 31, 1e-4, 0.9518, 84.5)],
)
def test_the_largest_batches_train_by_lars_as_mlperfs(batch, rate, warmup, decay, momentum, length):
    recipe = LARS[batch]
    schedule = recipe.schedule
    assert recipe.optimizer == OptimizerConfig("lars", momentum, weight_decay=decay, trust_coefficient=0.001)
    assert (schedule.name, schedule.learning_rate, schedule.power) == ("polynomial", rate, 2.0)
    assert epochs(recipe, schedule.iterations) == pytest.approx(length, abs=0.1)
    assert epochs(recipe, schedule.warmup_iterations) == pytest.approx(warmup, abs=0.1)
    assert recipe.training.label_smoothing == 0.1


@pytest.mark.parametrize("recipe", [r for r in RECIPES.values() if r.data.dataset == "imagenet"], ids=lambda r: r.name)
def test_an_imagenet_recipe_validates_once_an_epoch(recipe):
    assert epochs(recipe, recipe.training.validate_every) == pytest.approx(1, abs=0.03)


FILES = [file.stem for file in sorted(Path(catalog.__path__[0]).glob("[!_]*.py")) if "\nRECIPES = " in file.read_text()]


@pytest.mark.parametrize("file", FILES)
def test_the_first_lines_of_a_file_of_recipes_say_what_it_takes(file):
    module = import_module(f"catalog.{file}")
    heads = re.findall(r"^(\w+): ", module.__doc__, flags=re.MULTILINE)
    assert {"Command", "Hardware", "Expected"} <= set(heads)
    named = re.search(r"python recipes/train.py (\S+)", module.__doc__).group(1)
    assert RECIPES[named] in module.RECIPES


def test_digits_are_not_mirrored():
    assert RECIPES["digits-resnet8"].data.augmentation == ("pad-crop",)


if __name__ == "__main__":
    RECIPES_TXT.write_text(resolved(), encoding="utf-8")
