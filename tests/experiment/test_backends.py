"""Which backend trains a recipe, and what reaches it."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import keras
import pytest

from catalog import RECIPES
from keras_resnet.config.recipe import DataConfig, OptimizerConfig, TrainingConfig
from keras_resnet.config.run import Run, Strategy
from keras_resnet.data.datasets import loading
from keras_resnet.experiment import backends, run
from keras_resnet.models.layers.batch_normalization import BatchNormalization
from keras_resnet.training.tensorflow import strategies
from keras_resnet.training.tensorflow.backend import TensorFlowBackend
from keras_resnet.training.tensorflow.processes import StrategyProcesses

RECIPE = replace(
    RECIPES["digits-resnet8"],
    data=DataConfig("digits", augmentation=("pad-crop",), padding=1, normalization="per-channel", holdout=137),
    training=TrainingConfig(global_batch_size=32),
)


def made(recipe, **changes) -> TensorFlowBackend:
    processes = StrategyProcesses(strategies.one_device())
    data = loading.load("digits", holdout=137)
    return backends.make(TensorFlowBackend, processes, recipe, Run(**changes), data)


def test_what_a_recipe_says_about_training_reaches_the_backend():
    backend = made(
        replace(
            RECIPE,
            optimizer=OptimizerConfig(global_clipnorm=2.0, ema_momentum=0.75),
            training=replace(
                RECIPE.training, normalization_batch_size=16, precision="mixed_float16", label_smoothing=0.25
            ),
        )
    )
    replica = backend.replica
    assert (replica.global_clipnorm, replica.average.momentum, replica.global_batch_size) == (2.0, 0.75, 32)
    assert replica.loss_scale is not None
    assert replica.loss.keywords == {"smoothing": 0.25}
    layers = [layer for layer in backend.network.layers if isinstance(layer, BatchNormalization)]
    assert {layer.normalization_batch_size for layer in layers} == {16}
    plain = made(RECIPE).replica
    assert (plain.global_clipnorm, plain.average, plain.loss_scale) == (None, None, None)


def test_the_backend_is_keras_s_and_tensorflow_does_all_that_a_recipe_can_ask_for():
    for recipe in RECIPES.values():
        for strategy in ("one_device", "mirrored", "multi_worker", "tpu", "auto"):
            assert backends.choose(recipe, Run(strategy=strategy, xla=True)) is TensorFlowBackend


def test_a_backend_that_cannot_train_is_refused_before_anything_is_written(monkeypatch, tmp_path):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(ValueError, match="needs the backend tensorflow or jax. Received: KERAS_BACKEND=torch"):
        run.train(RECIPE, Run(directory=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_both_backends_train_all_that_a_recipe_can_ask_for():
    for recipe in RECIPES.values():
        for strategy in ("one_device", "mirrored", "multi_process", "tpu", "auto"):
            assert backends.choose(recipe, Run(strategy=strategy, xla=True), "jax").__name__ == "JaxBackend"


@pytest.mark.parametrize(
    ("backend", "strategy", "known", "there"),
    [
        ("jax", "multi_worker", "'one_device', 'mirrored', 'multi_process', 'tpu', 'auto'", "multi_process"),
        ("tensorflow", "multi_process", "'one_device', 'mirrored', 'multi_worker', 'tpu', 'auto'", "multi_worker"),
    ],
)
def test_several_processes_have_a_name_on_each_backend(backend, strategy, known, there):
    with pytest.raises(ValueError, match="`strategy` must be one of") as refusal:
        backends.choose(RECIPE, Run(strategy=strategy), backend)
    assert str(refusal.value) == (
        f"`strategy` must be one of {known} on the {backend} backend. Received: strategy='{strategy}'. Several "
        f"processes are strategy='{there}' there"
    )


def test_a_run_knows_the_strategies_of_all_backends():
    known = {strategy for kind in backends.BACKENDS.values() for strategy in kind().strategies}
    assert known == set(get_args(Strategy))
