"""Small networks on real digits, and backends that train them, the same each time."""

from __future__ import annotations

from collections.abc import Callable

import keras

from keras_resnet.data.datasets import loading
from keras_resnet.models.layers.batch_normalization import BatchNormalization
from keras_resnet.models.resnet import CifarResNet
from keras_resnet.optimization.optimizers import SGD
from keras_resnet.training.backend import Backend, Processes, TrainingImages

GLOBAL_BATCH_SIZE = 16


def resnet8(image, **options) -> keras.Model:
    return CifarResNet(8, input_tensor=image, classifier_activation=None, **options)


def shallow(image) -> keras.Model:
    """All kinds of variables, and a quarter of a ResNet-8's time to trace."""
    x = BatchNormalization(name="bn")(keras.layers.Flatten()(image))
    return keras.Model(keras.utils.get_source_inputs(x), keras.layers.Dense(10, name="predictions")(x))


def network(function: Callable = shallow, **options) -> keras.Model:
    """A network from uint8 images of digits to logits."""
    keras.utils.set_random_seed(1)
    pixels = keras.Input((8, 8, 1), dtype="uint8")
    return function(keras.layers.Rescaling(1 / 128, offset=-1, dtype="float32")(pixels), **options)


def optimizer(model: keras.Model) -> SGD:
    made = SGD(name="SGD")
    made.build(model.trainable_variables)
    return made


def backend(kind: type[Backend], processes: Processes, function: Callable = shallow, **options) -> Backend:
    """A backend that trains on digits."""
    images = TrainingImages(loading.load("digits").train, ("pad-crop",), 1, 1)
    return kind(processes, lambda: network(function), optimizer, images, global_batch_size=GLOBAL_BATCH_SIZE, **options)
