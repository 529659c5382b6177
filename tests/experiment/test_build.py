"""From a recipe to the parts that it asks for."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import get_args

import keras
import numpy as np
import pytest

from catalog import RECIPES
from keras_resnet.config import recipe
from keras_resnet.config.recipe import DataConfig, ScheduleConfig, TrainingConfig
from keras_resnet.data.datasets import loading
from keras_resnet.data.datasets.loading import Data
from keras_resnet.data.tensorflow import batches
from keras_resnet.experiment import build
from keras_resnet.models import resnet
from stand_ins import stand_in
from tiers import slow

ROOT = Path(__file__).parents[2]

RECIPE = replace(
    RECIPES["digits-resnet8"],
    data=DataConfig("digits", augmentation=("pad-crop",), padding=1, normalization="per-channel", holdout=137),
    schedule=ScheduleConfig(iterations=60, boundaries=(40,)),
    training=TrainingConfig(global_batch_size=32, log_every=10, validate_every=30),
)


@pytest.fixture(scope="module")
def digits() -> Data:
    return loading.load("digits", holdout=137)


def test_tables_have_a_row_for_every_word_of_a_recipe():
    assert tuple(resnet.BUILDERS) == get_args(recipe.Family)


def test_a_seed_gives_what_keras_gives_and_loads_tensorflow_for_itself_alone(monkeypatch):
    def drawn() -> list:
        values = keras.initializers.HeNormal()((3, 4))
        return [keras.ops.convert_to_numpy(values).tolist(), np.random.random(), random.random()]

    build.seed(7)
    expected = drawn()
    monkeypatch.setattr(build.keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(build.keras.utils, "set_random_seed", None)
    build.seed(7)
    assert drawn() == expected


FEW = ["cifar10-resnet20", "imagenet-resnet50", "folder-resnet18"]


@pytest.mark.parametrize("name", [*FEW, *slow(name for name in RECIPES if name not in FEW)])
def test_the_parts_of_a_recipe_can_be_made(name):
    recipe = RECIPES[name]
    recipe = replace(recipe, model=replace(recipe.model, depth=8 if recipe.model.family == "cifar" else 18))
    # A batch of 65,536 photographs is 10 GB.
    batch = min(recipe.training.global_batch_size, 128)
    recipe = replace(recipe, training=replace(recipe.training, global_batch_size=batch))
    data = stand_in(recipe)
    network = build.build_network(recipe, data)
    assert (network.input.dtype, network.input.shape) == ("uint8", (None, *data.image_shape))
    assert network.output_shape == (None, len(data.class_names))
    optimizer = build.build_optimizer(recipe, network)
    assert optimizer.coupled_weight_decay == recipe.optimizer.weight_decay
    rates = build.build_schedule(recipe)(np.arange(recipe.schedule.iterations))
    assert (rates > 0).any() and (rates <= np.float32(recipe.schedule.learning_rate)).all()
    stream = build.training_images(recipe, data)
    options = {"augmentation": stream.augmentation, "padding": stream.padding, "seed": stream.seed}
    size = recipe.training.global_batch_size
    images, labels = next(iter(batches.training_batches(stream.split, global_batch_size=size, **options)))
    assert images.shape == (size, *data.image_shape) and images.dtype == "uint8"
    assert labels.shape == (size,)


@pytest.mark.parametrize(
    "schedule",
    [
        ScheduleConfig(),
        ScheduleConfig(warmup_iterations=400),
        ScheduleConfig("error-gate"),
        ScheduleConfig("cosine", warmup_iterations=400),
        ScheduleConfig("plateau", warmup_iterations=400),
    ],
)
def test_a_scale_moves_every_rate_to_the_scaled_iteration(schedule):
    recipe = replace(RECIPE, schedule=schedule)
    scaled = replace(recipe, schedule=replace(schedule, scale=0.125))
    assert scaled.schedule.scaled_iterations == 8000
    rates = [build.build_schedule(each) for each in (recipe, scaled)]
    for rate in rates:
        rate.observe(0, training_error=0.0)
    np.testing.assert_allclose(rates[1](np.arange(8000)), rates[0](np.arange(0, 64_000, 8)), rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("per-channel", lambda images: (images - images.mean()) / images.std()),
        ("per-pixel-mean", lambda images: images - images.mean(0)),
    ],
)
def test_the_network_normalizes_images_of_0_to_255_itself(digits, kind, expected):
    recipe = replace(RECIPE, data=replace(RECIPE.data, normalization=kind))
    network = build.build_network(recipe, digits)
    images = digits.train.images
    seen = keras.Model(network.input, network.get_layer("normalization").output).predict(images, verbose=0)
    np.testing.assert_allclose(seen, expected(images.astype("float64")), atol=1e-3)


def test_precision_is_that_of_the_recipe_and_of_nothing_else(digits):
    recipe = replace(RECIPE, training=replace(RECIPE.training, precision="mixed_bfloat16"))
    network = build.build_network(recipe, digits)
    assert network.get_layer("conv1_conv").compute_dtype == "bfloat16"
    assert network.get_layer("normalization").compute_dtype == "float32"
    assert network.output.dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"


def test_the_seed_decides_the_first_weights(digits):
    def weights(seed: int) -> np.ndarray:
        recipe = replace(RECIPE, training=replace(RECIPE.training, seed=seed))
        return build.build_network(recipe, digits).get_layer("conv1_conv").get_weights()[0]

    first = weights(1)
    np.testing.assert_array_equal(weights(1), first)
    assert (weights(2) != first).any()
