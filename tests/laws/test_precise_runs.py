"""Runs whose batch statistics end as an exact average: the same whoever computes it, and after a kill."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from catalog import RECIPES
from keras_resnet.config.recipe import DataConfig, OptimizerConfig, ScheduleConfig, TrainingConfig
from keras_resnet.config.run import Run
from keras_resnet.data.datasets import loading
from keras_resnet.data.tensorflow import batches
from keras_resnet.experiment import build, outcome
from keras_resnet.experiment import run as experiment
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.training.tensorflow import precise_batch_norm, strategies
from keras_resnet.training.tensorflow.precise_batch_norm import set_precise_statistics, statistics_batches
from keras_resnet.training.variable_names import by_path
from tiers import slow

RECIPE = replace(
    RECIPES["digits-resnet8"],
    data=DataConfig("digits", augmentation=("pad-crop",), padding=1, normalization="per-channel", holdout=137),
    schedule=ScheduleConfig(iterations=20, boundaries=(15,)),
    training=TrainingConfig(global_batch_size=32, log_every=10, validate_every=10, precise_statistics=100),
)
IMAGES = 128
"""100, rounded up to whole iterations."""


def run(directory: Path, **changes) -> Run:
    return Run(directory=str(directory), iterations_per_call=10, checkpoint_every=10, **changes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> RunDirectory:
    """A run that nothing disturbed."""
    directory = RunDirectory(tmp_path_factory.mktemp("whole"))
    assert experiment.train(RECIPE, run(directory.path)) == 0
    return directory


def weights(file: Path) -> dict[str, np.ndarray]:
    variables = by_path(keras.saving.load_model(file, compile=False).variables)
    return {path: np.array(variable) for path, variable in variables.items()}


def recomputed(file: Path, together: int) -> dict[str, np.ndarray]:
    """The weights of a saved network with the statistics that its first training images give on one device."""
    strategy = strategies.one_device()
    with strategy.scope():
        network = keras.saving.load_model(file, compile=False)
    for path, variable in by_path(network.variables).items():
        if "moving_" in path:
            variable.assign(np.full(variable.shape, np.nan))
    train = loading.load("digits", holdout=137).train
    make = functools.partial(
        batches.training_batches, train, global_batch_size=together, augmentation=("pad-crop",), padding=1, seed=0
    )
    first = itertools.islice(strategies.batches(strategy, make), IMAGES // together)
    set_precise_statistics(network, first, strategy)
    return {path: np.array(variable) for path, variable in by_path(network.variables).items()}


def assert_same(received: dict[str, np.ndarray], expected: dict[str, np.ndarray], rtol: float = 0.0) -> None:
    assert received.keys() == expected.keys()
    for path, value in expected.items():
        atol = 0.1 * rtol * np.abs(value).max()
        np.testing.assert_allclose(received[path], value, rtol=rtol, atol=atol, err_msg=path)


def result(directory: RunDirectory) -> dict:
    """What was measured, but for the hour's speed."""
    return {**directory.read_result(), "images_per_second": 0}


@pytest.mark.slow
def test_the_network_that_is_kept_has_the_statistics_of_its_first_training_images_and_was_measured_with_them(whole):
    assert_same(weights(whole.model), recomputed(whole.model, together=32))
    with_moving_averages = float(whole.history.read_text().splitlines()[-1].split(",")[-2])
    measured = whole.read_result()["splits"]["validation"]
    assert measured["loss"] != pytest.approx(with_moving_averages, rel=1e-3)
    validation = loading.load("digits", holdout=137).validation
    logits = keras.saving.load_model(whole.model).predict(validation.images, verbose=0)
    assert measured["top1_error"] == pytest.approx(100 * np.mean(logits.argmax(-1) != validation.labels))


@pytest.mark.slow
def test_a_run_that_dies_after_its_training_ends_with_the_same_bits(whole, tmp_path, monkeypatch):
    directory = RunDirectory(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(outcome, "model_card", None)
        with pytest.raises(AttributeError):
            experiment.train(RECIPE, run(directory.path))
    assert not directory.finished
    assert experiment.train(RECIPE, run(directory.path, resume=True)) == 0
    assert result(directory) == result(whole)
    assert_same(weights(directory.model), weights(whole.model))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("normalization_batch_size", "ema_momentum", "together"),
    [
        (None, None, 16),
        (32, None, 32),
        (None, 0.5, 16),
        (8, 0.5, 8),
    ],
)
def test_replicas_keep_what_one_device_computes_from_their_network(
    tmp_path, monkeypatch, two_devices, normalization_batch_size, ema_momentum, together
):
    """Over the images of a replica, of both or of a part of one; of the average of the weights, if there is one."""
    monkeypatch.setitem(strategies.STRATEGIES, "mirrored", lambda *_: two_devices)
    training = replace(RECIPE.training, normalization_batch_size=normalization_batch_size)
    recipe = replace(RECIPE, training=training, optimizer=OptimizerConfig(ema_momentum=ema_momentum))
    directory = RunDirectory(tmp_path / "run")
    assert experiment.train(recipe, run(directory.path, strategy="mirrored")) == 0
    assert_same(weights(directory.model), recomputed(directory.model, together), rtol=1e-4)
    validation = loading.load("digits", holdout=137).validation
    logits = keras.saving.load_model(directory.model).predict(validation.images, verbose=0)
    wrong = 100 * np.mean(logits.argmax(-1) != validation.labels)
    assert directory.read_result()["splits"]["validation"]["top1_error"] == pytest.approx(wrong)


@pytest.mark.parametrize(
    ("changes", "together", "replicas"),
    [
        ({}, 32, 1),
        ({"accumulation": 2}, 16, 2),
        ({"normalization_batch_size": 8}, 8, 2),
        *slow(
            [
                ({}, 32, 2),
                ({"accumulation": 2}, 16, 1),
                ({"normalization_batch_size": 8}, 8, 1),
                ({"normalization_batch_size": 16, "accumulation": 2}, 16, 1),
                ({"normalization_batch_size": 16, "accumulation": 2}, 16, 2),
            ]
        ),
    ],
    ids=str,
)
def test_the_images_are_those_of_whole_iterations_divided_as_the_training_divides_them(
    two_devices, changes, together, replicas
):
    recipe = replace(RECIPE, training=replace(RECIPE.training, **changes))
    strategy = two_devices if replicas == 2 else strategies.one_device()
    data, training = loading.load("digits", holdout=137), recipe.training
    stream = statistics_batches(
        build.training_images(recipe, data),
        100,
        strategy,
        global_batch_size=training.global_batch_size,
        accumulation=training.accumulation,
        normalization_batch_size=training.normalization_batch_size,
    )
    parts = [part.numpy() for images, _ in stream for part in strategy.experimental_local_results(images)]
    per_replica = 32 // recipe.training.accumulation // replicas
    assert {len(part) for part in parts} == {min(together, per_replica)}
    [(expected, _)] = batches.training_batches(
        data.train, global_batch_size=IMAGES, augmentation=("pad-crop",), padding=1, seed=0
    ).take(1)
    np.testing.assert_array_equal(np.concatenate(parts), expected)


@pytest.mark.slow
def test_a_run_whose_statistics_cannot_be_computed_ends_with_an_error_and_no_result(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(precise_batch_norm, "statistics_batches", lambda *_, **__: [])
    directory = RunDirectory(tmp_path / "run")
    assert experiment.train(RECIPE, run(directory.path)) == experiment.FAILED
    assert "error: `batches` must hold at least one batch" in capsys.readouterr().out
    assert not directory.finished and not directory.model.exists()


def test_a_negative_number_of_images_is_refused():
    with pytest.raises(ValueError, match="`precise_statistics` must be at least 0. Received: precise_statistics=-1"):
        TrainingConfig(precise_statistics=-1)


def test_the_paper_s_recipes_for_imagenet_ask_for_it_and_no_others():
    asking = {name for name, recipe in RECIPES.items() if recipe.training.precise_statistics}
    depths = (18, 34, 50, 101, 152)
    assert asking == {*(f"imagenet-resnet{depth}" for depth in depths), "imagenet-plain18", "imagenet-plain34"}
    assert {RECIPES[name].training.precise_statistics for name in asking} == {10_000}
