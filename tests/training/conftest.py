"""Small networks on real digits, and trainings of them and of what stands in for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

import small_trainings
from fake_backend import FakeBackend
from keras_resnet.data.datasets import loading
from keras_resnet.data.datasets.loading import Data
from keras_resnet.data.tensorflow import batches
from keras_resnet.models.layers.batch_normalization import set_normalization_batch_size
from keras_resnet.optimization.schedules import Steps
from keras_resnet.training.backend import Backend
from keras_resnet.training.checkpoints import Checkpoints
from keras_resnet.training.intervals import Intervals
from keras_resnet.training.tensorflow import strategies
from keras_resnet.training.tensorflow.backend import TensorFlowBackend
from keras_resnet.training.tensorflow.loss_scale import LossScale
from keras_resnet.training.tensorflow.moving_average import Average
from keras_resnet.training.tensorflow.processes import StrategyProcesses
from keras_resnet.training.tensorflow.replica import Replica
from keras_resnet.training.trainer import Trainer
from small_trainings import GLOBAL_BATCH_SIZE, resnet8, shallow


@pytest.fixture(scope="session")
def digits() -> Data:
    return loading.load("digits")


@pytest.fixture
def digit_batches(digits) -> Callable[[int], tf.data.Dataset]:
    """The batches from an iteration on, for every replica."""

    def digit_batches(first: int = 0, strategy: tf.distribute.Strategy | None = None, parts: int = 1):
        def make(**where: int) -> tf.data.Dataset:
            return batches.training_batches(
                digits.train,
                global_batch_size=GLOBAL_BATCH_SIZE // parts,
                augmentation=("pad-crop",),
                padding=1,
                seed=1,
                first_iteration=first * parts,
                **where,
            )

        return strategies.batches(strategy, make) if strategy else make()

    return digit_batches


@pytest.fixture
def build() -> Callable[..., Replica]:
    """Makes a network and what trains it, the same each time."""

    def build(
        network: Callable = resnet8,
        strategy: tf.distribute.Strategy | None = None,
        normalization_batch_size: int | None = None,
        ema_momentum: float | None = None,
        loss_scale: bool = False,
        training: dict | None = None,
        **options,
    ) -> Replica:
        with (strategy or strategies.one_device()).scope():
            model = small_trainings.network(network, **options)
            optimizer = small_trainings.optimizer(model)
            set_normalization_batch_size(model, normalization_batch_size)
            return Replica(
                model,
                optimizer,
                global_batch_size=GLOBAL_BATCH_SIZE,
                average=Average(model, ema_momentum) if ema_momentum else None,
                loss_scale=LossScale() if loss_scale else None,
                **(training or {}),
            )

    return build


@pytest.fixture
def residual() -> Callable:
    """The network for `start` where a shallow one is not enough."""
    return resnet8


@pytest.fixture
def start(tmp_path, digits) -> Callable[..., Trainer]:
    """Makes a training in a directory, as a new process would; without a framework unless a backend is given."""

    def start(directory: Path = tmp_path / "run", backend: Backend | None = None, **changes) -> Trainer:
        directory.mkdir(exist_ok=True)
        errors = changes.pop("errors", None)
        arguments = {
            "schedule": Steps(0.1, (20,)),
            "validation": digits.validation.part(0, 50),
            "last_iteration": 30,
            "intervals": Intervals(log=5, validate=10, checkpoint=7, steps_per_execution=3),
            "history": directory / "history.csv",
            "checkpoints": Checkpoints(directory / "checkpoints"),
        }
        return Trainer(backend or FakeBackend(errors=errors), **(arguments | changes))

    return start


@pytest.fixture
def on_tensorflow() -> Callable[..., TensorFlowBackend]:
    """Makes a backend that trains a network on digits."""

    def on_tensorflow(
        network: Callable = shallow, strategy: tf.distribute.Strategy | None = None, **options
    ) -> TensorFlowBackend:
        processes = StrategyProcesses(strategy or strategies.one_device())
        return small_trainings.backend(TensorFlowBackend, processes, network, **options)

    return on_tensorflow
