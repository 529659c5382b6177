"""The names of a checkpoint."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.models.layers.batch_normalization import BatchNormalization
from keras_resnet.models.resnet import CifarResNet
from keras_resnet.training.checkpoints import Checkpoints
from keras_resnet.training.variable_names import by_path, current, differs_between_replicas, named
from older_networks import as_in_0_2


def test_rematerialization_and_the_network_s_name_do_not_change_the_names():
    plain, other = (
        CifarResNet(8, input_shape=(8, 8, 1), **options) for options in ({}, {"remat": True, "name": "other"})
    )
    assert by_path(plain.variables).keys() == by_path(other.variables).keys()


@pytest.mark.parametrize("optimizer", [keras_resnet.SGD, keras_resnet.LARS])
def test_checkpoints_of_networks_with_projections_inside_of_layers_have_the_names_of_today(optimizer):
    names = []
    for build in (as_in_0_2, CifarResNet):
        network, updates = build(8, shortcut="C", input_shape=(8, 8, 1)), optimizer(0.1, name="optimizer")
        updates.build(network.trainable_variables)
        parts = {"model": by_path(network.variables), "optimizer": by_path(updates.variables)}
        names.append([set(each) for each in named({**parts, "average": parts["model"]})])
    older, today = names
    assert older != today
    assert [set(map(current, each)) for each in older] == today
    assert [set(map(current, each)) for each in today] == today


def test_a_checkpoint_is_read_under_the_names_of_today(tmp_path):
    older = "optimizer/SGD/conv3_block1_0_conv3_block1_0_conv_kernel_momentum"
    Checkpoints(tmp_path).save(1, {older: np.arange(3.0)}, {})
    saved, _ = Checkpoints(tmp_path).restore(
        lambda shapes: None if shapes == {"optimizer/SGD/conv3_block1_0_conv_kernel_momentum": (3,)} else str(shapes)
    )
    np.testing.assert_array_equal(*saved.values.values(), np.arange(3.0))


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
