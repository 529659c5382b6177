"""Two small networks on real digits, and training runs of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import keras
import pytest
import tensorflow as tf

from keras_resnet.data import batches
from keras_resnet.data.datasets import loading
from keras_resnet.data.datasets.loading import Data
from keras_resnet.evaluation.error_rates import evaluator
from keras_resnet.models.layers.batch_normalization import BatchNormalization, set_normalization_batch_size
from keras_resnet.models.resnet import CifarResNet
from keras_resnet.optimization.optimizers import SGD
from keras_resnet.optimization.schedules import Steps
from keras_resnet.training.checkpoints import Checkpoints
from keras_resnet.training.tensorflow import strategies
from keras_resnet.training.tensorflow.loss_scale import LossScale
from keras_resnet.training.tensorflow.moving_average import Average
from keras_resnet.training.tensorflow.replica import Replica
from keras_resnet.training.trainer import Intervals, Training

GLOBAL_BATCH_SIZE = 16


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


def resnet8(image, **options) -> keras.Model:
    return CifarResNet(8, input_tensor=image, classifier_activation=None, **options)


def shallow(image) -> keras.Model:
    """All kinds of variables, and a quarter of a ResNet-8's time to trace."""
    x = BatchNormalization(name="bn")(keras.layers.Flatten()(image))
    return keras.Model(keras.utils.get_source_inputs(x), keras.layers.Dense(10, name="predictions")(x))


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
        keras.utils.set_random_seed(1)
        with (strategy or strategies.one_device()).scope():
            pixels = keras.Input((8, 8, 1), dtype="uint8")
            image = keras.layers.Rescaling(1 / 128, offset=-1, dtype="float32")(pixels)
            model = network(image, **options)
            optimizer = SGD()
            optimizer.build(model.trainable_variables)
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
def start(tmp_path, digits, digit_batches, build) -> Callable[..., Training]:
    """Makes a training run in a directory, as a new process would."""

    def start(
        directory: Path = tmp_path / "run",
        network: Callable = shallow,
        strategy: tf.distribute.Strategy | None = None,
        options: dict | None = None,
        **changes,
    ) -> Training:
        options = options or {}
        strategy = strategy or strategies.one_device()
        replica = build(network, strategy, **options)
        directory.mkdir(exist_ok=True)
        images = digits.validation.part(0, 50)
        evaluate = evaluator(replica.model, strategy)
        parts = changes.get("accumulation", 1)

        def validate():
            make = functools.partial(batches.evaluation_batches, images, batch_size=20)
            return evaluate(strategies.batches(strategy, make), images.size)

        arguments = {
            "schedule": Steps(0.1, (20,)),
            "batches": lambda first: digit_batches(first, strategy, parts),
            "validate": validate,
            "strategy": strategy,
            "last_iteration": 30,
            "intervals": Intervals(log=5, validate=10, checkpoint=7, call=3),
            "history": directory / "history.csv",
            "checkpoints": Checkpoints(directory / "checkpoints"),
        }
        return Training(replica, **(arguments | changes))

    return start
