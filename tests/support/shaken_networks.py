"""Fixtures: small networks as a training leaves them: from uint8 images to logits."""

from __future__ import annotations

import random
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet import CifarResNet
from keras_resnet.models import input_normalization
from keras_resnet.models.residual_network import ResidualNetwork
from stand_ins import EncodedInMemory

SIZE = 32
CLASSES = 12


def normalized(size: int, *, per_pixel: bool = False):
    """A symbolic image of a size with a normalization behind it."""
    shape = (size, size, 3) if per_pixel else (1, 1, 3)
    mean = np.linspace(100, 130, np.prod(shape), dtype="float32").reshape(shape)
    image = keras.Input((size, size, 3), dtype="uint8", name="image")
    return input_normalization.layer(mean, np.full((1, 1, 3), 60.0, "float32"))(image)


def shaken(network: ResidualNetwork) -> ResidualNetwork:
    """The network with noise in all of its weights, so that none could be left out unnoticed."""
    noise = np.random.default_rng(len(network.weights))
    for variable in network.weights:
        change = noise.uniform(0.5, 1.5, variable.shape)
        variable.assign(variable * change if variable.name == "kernel" else variable + 0.2 * change)
    return network


@pytest.fixture
def noise() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def make_network() -> Callable[..., ResidualNetwork]:
    def make(seed: int = 0, *, per_pixel: bool = False, classes: int = CLASSES, **options) -> ResidualNetwork:
        random.seed(seed)  # which Keras draws the seeds of its initializers from
        image = normalized(SIZE, per_pixel=per_pixel)
        return shaken(CifarResNet(8, input_tensor=image, classes=classes, classifier_activation=None, **options))

    return make


@pytest.fixture
def photographs() -> list[np.ndarray]:
    """Seven, of different shapes."""
    noise = np.random.default_rng(0)
    shapes = [(40, 64), (64, 40), (48, 48), (90, 41), (32, 32), (36, 100), (55, 44)]
    # Coarse, so that the networks do not see the same grey everywhere.
    return [
        tf.cast(tf.image.resize(noise.uniform(0, 255, (3, 3, 3)), shape, method="nearest"), tf.uint8).numpy()
        for shape in shapes
    ]


@pytest.fixture
def split(photographs) -> EncodedInMemory:
    encoded = tuple(tf.io.encode_png(image).numpy() for image in photographs)
    return EncodedInMemory(encoded, np.arange(7) % CLASSES, SIZE)
