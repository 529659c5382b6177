"""Batch statistics as an exact average: by definition, whatever the devices, the blocks and what was there before."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.models.layers.batch_normalization import BatchNormalization, set_normalization_batch_size
from keras_resnet.models.resnet import CifarResNet
from keras_resnet.training.tensorflow import strategies
from keras_resnet.training.tensorflow.multi_step import multi_step
from keras_resnet.training.tensorflow.precise_batch_norm import set_precise_statistics
from keras_resnet.training.tensorflow.variables import Variables
from keras_resnet.training.variable_names import by_path
from tiers import slow


def make(strategy: tf.distribute.Strategy | None = None, **options) -> keras.Model:
    """A small residual network whose moving statistics are garbage."""
    keras.utils.set_random_seed(1)
    with (strategy or strategies.one_device()).scope():
        pixels = keras.Input((8, 8, 1), dtype="uint8")
        image = keras.layers.Rescaling(1 / 128, offset=-1, dtype="float32")(pixels)
        network = CifarResNet(8, input_tensor=image, classifier_activation=None, **options)
    for name, variable in moving(network).items():
        variable.assign(np.full(variable.shape, 1e30 if "mean" in name else np.nan))
    return network


def moving(network: keras.Model) -> dict[str, keras.Variable]:
    return {path: v for path, v in by_path(network.variables).items() if "moving_" in path}


def statistics(network: keras.Model) -> dict[str, np.ndarray]:
    """The mean over the replicas, if there are several."""
    return {path: np.array(variable) for path, variable in moving(network).items()}


def assert_equal(received: dict[str, np.ndarray], expected: dict[str, np.ndarray], rtol: float = 1e-5) -> None:
    assert received.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(received[name], value, rtol=rtol, atol=rtol * np.abs(value).max(), err_msg=name)


@pytest.fixture
def some(digits) -> list[tuple[np.ndarray, np.ndarray]]:
    """Three batches of different sizes."""
    images, labels = digits.train.images, digits.train.labels
    return [(images[a:b], labels[a:b]) for a, b in itertools.pairwise((0, 16, 24, 56))]


def pixels(batches) -> np.ndarray:
    return np.concatenate([images for images, _ in batches]).astype("float64") / 128 - 1


def only_normalization() -> keras.Model:
    image = keras.Input((8, 8, 1), dtype="uint8")
    x = keras.layers.Rescaling(1 / 128, offset=-1, dtype="float32")(image)
    return keras.Model(image, BatchNormalization(name="bn")(keras.layers.Reshape((2, 2, 16))(x)))


@pytest.mark.parametrize("count", [1, 3])
def test_the_first_layer_gets_the_moments_of_all_images(some, count):
    network = only_normalization()
    set_precise_statistics(network, some[:count])
    seen = pixels(some[:count]).reshape(-1, 16)
    layer = network.get_layer("bn")
    np.testing.assert_allclose(layer.moving_mean, seen.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, seen.var(0), rtol=1e-5)


def test_the_order_of_the_batches_does_not_matter(some):
    one, other = only_normalization(), only_normalization()
    set_precise_statistics(one, some)
    set_precise_statistics(other, some[::-1])
    assert_equal(statistics(other), statistics(one), rtol=1e-7)


@pytest.mark.parametrize(
    "options", [{"preactivation": True}, *slow([{}, {"shortcut": "C"}, {"shortcut": None}])], ids=str
)
def test_after_one_batch_a_network_does_in_evaluation_what_it_does_in_training(some, options):
    network = make(**options)
    images, _ = some[0]
    expected = network(images, training=True).numpy()
    set_precise_statistics(network, some[:1])
    np.testing.assert_allclose(network(images, training=False), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_several_batches_give_the_mean_of_their_moments_and_the_variance_of_their_means(some):
    network, alone = make(shortcut="B"), []
    for batch in some:
        set_precise_statistics(network, [batch])
        alone.append(statistics(network))
    set_precise_statistics(network, some)
    shares = np.array([len(labels) for _, labels in some]) / sum(len(labels) for _, labels in some)
    for name, value in statistics(network).items():
        means = np.array([each[name.replace("variance", "mean")] for each in alone], "float64")
        expected = np.average(means, 0, shares)
        if "variance" in name:
            within = np.average(np.array([each[name] for each in alone], "float64"), 0, shares)
            expected = within + np.average((means - expected) ** 2, 0, shares)
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_rematerialized_blocks_get_the_same(some):
    flat, remat = make(shortcut="B"), make(shortcut="B", remat=True)
    remat.set_weights(flat.get_weights())
    for network in (flat, remat):
        set_precise_statistics(network, some)
    assert_equal(statistics(remat), statistics(flat))


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"remat": True}], ids=["flat", "rematerialized"])
def test_nothing_else_changes_and_the_training_goes_on(build, digit_batches, some, options):
    """With the function that was traced before."""
    strategy = strategies.one_device()
    replica, other = (build(strategy=strategy, **options) for _ in range(2))
    run, run_other = (multi_step(each, strategy=strategy) for each in (replica, other))
    run(iter(digit_batches(0, strategy)), tf.constant([0.1]))
    run_other(iter(digit_batches(0, strategy)), tf.constant([0.1]))
    set_precise_statistics(replica.model, some, strategy)
    layers = [layer for layer in replica.model._flatten_layers() if isinstance(layer, BatchNormalization)]
    assert {layer.momentum for layer in layers} == {0.9}
    before = statistics(replica.model)
    run(iter(digit_batches(1, strategy)), tf.constant([0.1]))
    run_other(iter(digit_batches(1, strategy)), tf.constant([0.1]))
    for name, value in by_path(other.model.variables).items():
        if "moving_" not in name:
            np.testing.assert_array_equal(by_path(replica.model.variables)[name], value, err_msg=name)
    one, two = (statistics(each.model) for each in (replica, other))
    # A tenth of the new moments: not all of them, as while the exact ones were collected.
    assert all((one[name] != two[name]).any() for name in one)
    assert not any(np.allclose(one[name], before[name], rtol=1e-6) for name in one)


def test_a_frozen_layer_keeps_its_statistics(some):
    network = make()
    frozen = network.get_layer("conv1_bn")
    frozen.moving_mean.assign(np.full(16, 0.25))
    frozen.moving_variance.assign(np.full(16, 2.0))
    frozen.trainable = False
    set_precise_statistics(network, some)
    assert (np.array(frozen.moving_mean) == 0.25).all() and (np.array(frozen.moving_variance) == 2.0).all()
    assert all(np.isfinite(value).all() for value in statistics(network).values())


def assert_untouched(network: keras.Model, before: dict[str, np.ndarray]) -> None:
    for name, variable in by_path(network.variables).items():
        np.testing.assert_array_equal(variable, before[name], err_msg=name)
    assert network.get_layer("conv1_bn").momentum == 0.9


def test_a_batch_that_is_not_finite_leaves_the_network_unharmed(some):
    network = make()
    by_path(network.variables)["conv2_block1_1_conv/kernel"].assign(np.full((3, 3, 16, 16), np.inf))
    before = {name: np.array(variable) for name, variable in by_path(network.variables).items()}
    with pytest.raises(ValueError, match="must be finite. Those of batch 1 are not"):
        set_precise_statistics(network, some)
    assert_untouched(network, before)


def test_no_batch_is_refused():
    network = make()
    before = {name: np.array(variable) for name, variable in by_path(network.variables).items()}
    with pytest.raises(ValueError, match="must hold at least one batch. Received: none"):
        set_precise_statistics(network, [])
    assert_untouched(network, before)


def test_a_network_without_statistics_of_its_own_is_refused(some):
    image = keras.Input((8, 8, 1), dtype="uint8")
    with pytest.raises(ValueError, match="must have a trainable BatchNormalization"):
        set_precise_statistics(keras.Model(image, keras.layers.Flatten()(image)), some)


def of_replicas(network: keras.Model, strategy: tf.distribute.Strategy) -> dict[str, np.ndarray]:
    """[replicas, channels] of each moving statistic."""
    return {
        name.removeprefix("m/"): value for name, value in Variables(strategy, {"m": moving(network)}).read().items()
    }


@pytest.mark.parametrize("normalization_batch_size", [8, *slow([16])])
def test_two_replicas_all_get_what_one_device_gets(digit_batches, two_devices, normalization_batch_size):
    """Statistics over 8 images are those of a replica, those over 16 are taken over both."""
    one, two = make(), make(two_devices)
    device = strategies.one_device()
    set_normalization_batch_size(two, normalization_batch_size)
    parts = 16 // normalization_batch_size
    set_precise_statistics(one, itertools.islice(digit_batches(0, device, parts), 4 * parts), device)
    set_precise_statistics(two, itertools.islice(digit_batches(0, two_devices), 4), two_devices)
    received = of_replicas(two, two_devices)
    for first, second in received.values():
        np.testing.assert_array_equal(first, second)
    assert_equal({name: value[0] for name, value in received.items()}, statistics(one))


@pytest.mark.slow
def test_replicas_keep_their_own_statistics_if_a_batch_is_not_finite(build, digit_batches, two_devices):
    replica = build(strategy=two_devices)
    multi_step(replica, strategy=two_devices)(iter(digit_batches(0, two_devices)), tf.constant([0.1]))
    before = of_replicas(replica.model, two_devices)
    assert all((first != second).any() for first, second in before.values())
    by_path(replica.model.variables)["conv2_block1_1_conv/kernel"].assign(np.full((3, 3, 16, 16), np.inf))
    with pytest.raises(ValueError, match="must be finite"):
        set_precise_statistics(replica.model, itertools.islice(digit_batches(0, two_devices), 2), two_devices)
    for name, value in of_replicas(replica.model, two_devices).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
