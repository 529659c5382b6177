"""The names of a checkpoint."""

from __future__ import annotations

import keras
import pytest

from keras_resnet.models.layers.batch_normalization import BatchNormalization
from keras_resnet.models.resnet import CifarResNet
from keras_resnet.training.variable_names import by_path, differs_between_replicas


def test_rematerialization_and_the_network_s_name_do_not_change_the_names():
    plain, other = (
        CifarResNet(8, input_shape=(8, 8, 1), **options) for options in ({}, {"remat": True, "name": "other"})
    )
    assert by_path(plain.variables).keys() == by_path(other.variables).keys()


def test_two_variables_of_one_path_are_refused():
    variable = keras.Variable(0.0, name="same")
    with pytest.raises(ValueError, match="must have different paths"):
        by_path([variable, keras.Variable(1.0, name="same")])


def test_moving_statistics_differ_between_replicas_and_nothing_else_does():
    layer = BatchNormalization(name="bn")
    layer.build((None, 4))
    apart = {variable.name for variable in layer.variables if differs_between_replicas(variable)}
    assert apart == {"moving_mean", "moving_variance"}
    assert len(layer.variables) == 4
