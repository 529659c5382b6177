"""Fifty iterations of a small network, on the devices that the command line names: prints their losses as JSON.

    python trajectory.py STRATEGY REPLICAS NORMALIZATION_BATCH_SIZE PARTS

The learning rate is small, because training is chaotic: a rounding error now and then takes a unit across the edge of
its ReLU, and at a usual rate the next fifty losses differ in the third digit. The noise keeps units apart that would
otherwise be equal, and cross the edge together.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.data.datasets import loading
from keras_resnet.data.splits import ArraySplit
from keras_resnet.data.tensorflow import batches
from keras_resnet.models.layers.batch_normalization import set_normalization_batch_size
from keras_resnet.models.resnet import CifarResNet
from keras_resnet.optimization.optimizers import SGD
from keras_resnet.training.tensorflow import strategies
from keras_resnet.training.tensorflow.multi_step import multi_step
from keras_resnet.training.tensorflow.replica import Replica

GLOBAL_BATCH_SIZE = 16
ITERATIONS = 50
RATE = 3e-4


def losses(
    strategy: tf.distribute.Strategy, normalization_batch_size: int, parts: int = 1, rate: float = RATE, **options
) -> np.ndarray:
    """The losses of the iterations."""
    return training(strategy, normalization_batch_size, parts, **options)(rate)


def training(
    strategy: tf.distribute.Strategy, normalization_batch_size: int, parts: int = 1, **options
) -> Callable[[float], np.ndarray]:
    """The losses of the iterations by the rate, each time from the beginning."""
    digits = loading.load("digits").train
    noise = np.random.default_rng(0).uniform(0, 50, digits.images.shape)
    images = ArraySplit((0.8 * digits.images + noise).astype("uint8"), digits.labels)
    keras.utils.set_random_seed(1)
    with strategy.scope():
        pixels = keras.Input((8, 8, 1), dtype="uint8")
        image = keras.layers.Rescaling(1 / 128, offset=-1, dtype="float32")(pixels)
        model = CifarResNet(8, input_tensor=image, classifier_activation=None)
        set_normalization_batch_size(model, normalization_batch_size)
        optimizer = SGD(name="SGD")
        optimizer.build(model.trainable_variables)
        replica = Replica(model, optimizer, global_batch_size=GLOBAL_BATCH_SIZE, **options)

    def make(**where: int) -> tf.data.Dataset:
        size = GLOBAL_BATCH_SIZE // parts
        return batches.training_batches(
            images, global_batch_size=size, augmentation=("pad-crop",), padding=1, seed=1, **where
        )

    run = multi_step(replica, strategy=strategy, accumulation=parts)
    first = [(variable, np.array(variable)) for variable in (*model.variables, *optimizer.variables)]

    def losses(rate: float) -> np.ndarray:
        for variable, value in first:
            variable.assign(value)
        measured, _ = run(iter(strategies.batches(strategy, make)), tf.fill([ITERATIONS], rate))
        return measured.numpy()

    return losses


if __name__ == "__main__":
    name, replicas, size, parts = sys.argv[1], *map(int, sys.argv[2:])
    strategy = strategies.STRATEGIES[name](replicas if name == "mirrored" else None, GLOBAL_BATCH_SIZE, 60.0)
    print(json.dumps([float(loss) for loss in losses(strategy, size, parts)]))
