"""Recipes of version 0.1 are read, compared and found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from catalog import RECIPES
from keras_resnet.config.recipe import DataConfig, Recipe, TrainingConfig, hyperparameters_of
from keras_resnet.config.run import Run, directory_in
from keras_resnet.config.version_0_1 import AUGMENTATIONS, FIELDS, converted
from keras_resnet.facts import augmentation

WRITTEN = Path(__file__).with_name("recipe_0_1.json")
"""By `Recipe.to_json` of version 0.1: its imagenet-resnet50."""

FINGERPRINTS = {
    "digits-resnet8": "d3097a0a0d35",
    "cifar10-resnet20": "1f1d15bdf360",
    "folder-resnet18": "552d73f75e80",
    "imagenet-resnet50": "b8f5ef664c0c",
    "imagenet-resnet50-goyal": "e7e3398d1f6e",
}
"""Those that version 0.1 gave to its recipes of these names."""


def test_what_version_0_1_wrote_is_read_as_the_recipe_that_it_was():
    assert json.loads(WRITTEN.read_text(encoding="utf-8"))["data"]["augmentation"] == "scale-flip-colour"
    assert Recipe.read(WRITTEN) == RECIPES["imagenet-resnet50"]


@pytest.mark.parametrize(
    ("dataset", "images"), [("digits", "fixed-size"), ("cifar10", "fixed-size"), ("folder", "encoded")]
)
def test_its_words_are_read_by_the_data_set(dataset, images):
    for word, operations in AUGMENTATIONS[images].items():
        augmentation.check(operations, images)
        data = {"dataset": dataset, "image_size": 32 if images == "encoded" else None, "augmentation": word}
        assert Recipe.from_dict({"name": "x", "data": data}).data.augmentation == operations


@pytest.mark.parametrize(
    "values", [[], "recipe", {"name": 1}, {"data": 3}, {"data": {"dataset": 7}}, {"name": "x", "data": {}}]
)
def test_what_is_not_of_version_0_1_stays_as_it_is(values):
    assert converted(values) == values


def test_a_word_that_it_did_not_have_is_refused():
    for dataset, word in [("cifar10", "scale-flip"), ("cifar10", "crop-flop"), ("cifar01", "crop")]:
        with pytest.raises(ValueError, match="Received: (augmentation|dataset)="):
            Recipe.from_dict({"name": "x", "data": {"dataset": dataset, "augmentation": word}})


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_its_fingerprint_is_remembered(name):
    recipe = RECIPES[name]
    assert recipe.fingerprints == (recipe.fingerprint, FINGERPRINTS[name])


def test_a_recipe_that_it_did_not_have_has_one_fingerprint(monkeypatch):
    mirrored = replace(RECIPES["cifar10-resnet20"], data=DataConfig(augmentation=("flip",)))
    assert mirrored.fingerprints == (mirrored.fingerprint,)
    monkeypatch.setitem(FIELDS, "training", FIELDS["training"].replace(" seed ", " "))  # as if `seed` were a new field
    seeded = replace(RECIPES["cifar10-resnet20"], training=TrainingConfig(seed=1))
    assert seeded.fingerprints == (seeded.fingerprint,)


def test_what_a_checkpoint_of_version_0_1_recorded_is_compared_as_a_recipe():
    recorded = json.loads(WRITTEN.read_text(encoding="utf-8"))
    del recorded["name"], recorded["description"]
    assert hyperparameters_of(recorded) == RECIPES["imagenet-resnet50"].hyperparameters()
    assert hyperparameters_of({}) == Recipe("defaults").hyperparameters()
    with pytest.raises(ValueError, match="`model.width` is no key of a recipe"):
        hyperparameters_of({"model": {"width": 2}})
    with pytest.raises(ValueError, match="`recipe` must be an object"):
        hyperparameters_of([])


def test_a_run_stays_in_the_directory_that_version_0_1_gave_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = RECIPES["digits-resnet8"]
    new, old = (Path("runs") / f"digits-resnet8-{name}" for name in recipe.fingerprints)
    assert Run().directory_for(recipe) == new
    old.mkdir(parents=True)
    assert Run().directory_for(recipe) == directory_in(Path("runs"), recipe) == old
    new.mkdir()
    assert Run().directory_for(recipe) == new
    assert Run(directory="here").directory_for(recipe) == Path("here")
