"""Everything in a training that is a variable: read, written, and compared, of each replica its own."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.training.tensorflow import strategies
from keras_resnet.training.tensorflow.multi_step import multi_step
from keras_resnet.training.tensorflow.variables import Variables


def trained(build, digit_batches, strategy, **options) -> Variables:
    replica = build(strategy=strategy, ema_momentum=0.9, loss_scale=True, **options)
    multi_step(replica, strategy=strategy)(iter(digit_batches(0, strategy)), tf.constant([0.1, 0.1]))
    return Variables(strategy, replica.variables)


@pytest.mark.slow
def test_what_was_read_comes_back_to_each_replica(build, digit_batches, two_devices):
    values = trained(build, digit_batches, two_devices).read()
    apart = [name for name in values if "moving_" in name]
    assert len(apart) == 2 * 2 * 7  # of seven normalizations, and of their averages
    for name in apart:
        first, second = values[name]
        assert (first != second).any(), name
    other = Variables(two_devices, build(strategy=two_devices, ema_momentum=0.9, loss_scale=True).variables)
    other.write(values)
    again = other.read()
    assert again.keys() == values.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)


@pytest.mark.slow
def test_another_number_of_replicas_gets_the_mean(build, digit_batches, two_devices):
    values = trained(build, digit_batches, two_devices).read()
    one = Variables(
        strategies.one_device(),
        build(strategy=strategies.one_device(), ema_momentum=0.9, loss_scale=True).variables,
    )
    assert one.difference({name: value.shape for name, value in values.items()}) is None
    one.write(values)
    for name, value in one.read().items():
        expected = values[name].mean(0, keepdims=True) if "moving_" in name else values[name]
        np.testing.assert_allclose(value, expected, rtol=1e-6, err_msg=name)


def test_names_are_paths_below_what_they_belong_to(build):
    names = Variables(strategies.one_device(), build(ema_momentum=0.9, loss_scale=True).variables).read().keys()
    assert {name.split("/")[0] for name in names} == {"model", "optimizer", "average", "loss_scale"}
    assert {"model/predictions/kernel", "average/predictions/kernel", "loss_scale/scale"} < names
    assert {name.removeprefix("average/") for name in names if name.startswith("average/")} == {
        name.removeprefix("model/") for name in names if name.startswith("model/")
    }


def test_the_first_difference_is_named(build):
    one = strategies.one_device()
    variables = Variables(one, build().variables)
    shapes = {name: value.shape for name, value in variables.read().items()}
    assert variables.difference(shapes) is None
    other = shapes | {"model/predictions/kernel": (64, 7)}
    assert variables.difference(other) == "model/predictions/kernel has shape (64, 7) there, shape (64, 10) here"
    assert variables.difference(shapes | {"model/more": (1,)}) == "model/more has shape (1,) there, no place here"
    del shapes["model/predictions/bias"]
    assert variables.difference(shapes) == "model/predictions/bias has no place there, shape (10,) here"
