"""What decides about an update is seen by all replicas: overflow, clipping, and what follows the weights."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import small_trainings
from keras_resnet.experiment.build import dtype_policy
from keras_resnet.optimization.optimizers import SGD
from keras_resnet.training.tensorflow import loss_scale, strategies
from keras_resnet.training.tensorflow.loss_scale import LossScale
from keras_resnet.training.tensorflow.moving_average import Average
from keras_resnet.training.tensorflow.multi_step import multi_step
from keras_resnet.training.tensorflow.replica import Replica
from keras_resnet.training.tensorflow.variables import Variables
from tiers import slow

BATCH = 4
LABELS = np.array([0, 1, 2, 0], "int32")


def linear(strategy: tf.distribute.Strategy | None = None, seed: int = 1, **options) -> Replica:
    """A network of one layer, which learns plainly."""
    keras.utils.set_random_seed(seed)
    with (strategy or strategies.one_device()).scope():
        inputs = keras.Input((3,), dtype="float32")
        outputs = keras.layers.Dense(3, kernel_initializer=keras.initializers.RandomNormal(stddev=1e-3))(inputs)
        model = keras.Model(inputs, outputs)
        optimizer = SGD(0.0, momentum=0.0, coupled_weight_decay=0.0)
        optimizer.build(model.trainable_variables)
        made = {name: make(model) for name, make in options.items() if callable(make)}
        return Replica(model, optimizer, global_batch_size=BATCH, **(options | made))


def train(replica, images, rates, strategy=None, run=None) -> np.ndarray:
    """The losses of iterations on the same images, by a function that is traced already if it is given."""
    strategy = strategy or strategies.one_device()

    def make(replicas: int, **_) -> tf.data.Dataset:
        size = BATCH // replicas
        return tf.data.Dataset.from_tensor_slices((images.astype("float32"), LABELS)).batch(size, True).repeat()

    run = run or multi_step(replica, strategy=strategy)
    return run(iter(strategies.batches(strategy, make)), tf.constant(rates, tf.float32))[0].numpy()


def weights(replica) -> np.ndarray:
    return np.concatenate([np.ravel(w) for w in replica.model.get_weights()])


def images(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(BATCH, 3))


@pytest.mark.slow
@pytest.mark.parametrize("overflowing", [slice(0, 2), slice(2, 4)])
def test_an_overflow_on_one_device_stops_the_update_on_all(two_devices, overflowing):
    """Keras looks at the first device only."""
    x = np.full((BATCH, 3), 1e-3)
    x[overflowing] = 1000.0  # times the scale of the loss, more than float16 can hold
    with dtype_policy("mixed_float16"):
        replica = linear(two_devices, loss_scale=lambda _: LossScale())
    before = weights(replica)
    [loss] = train(replica, x, [0.1], two_devices)
    assert np.isfinite(loss)
    np.testing.assert_array_equal(weights(replica), before)
    assert replica.loss_scale.value == loss_scale.FIRST / 2
    train(replica, x, [1e-6] * 10, two_devices)
    assert np.isfinite(weights(replica)).all()
    assert (weights(replica) != before).any()
    assert 1 < replica.loss_scale.value < loss_scale.FIRST / 2
    copies = [two_devices.experimental_local_results(v.value) for v in replica.model.variables]
    for first, second in copies:
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("parts", [1, *slow([2])])
@pytest.mark.parametrize("devices", [1, *slow([2])])
def test_an_overflow_leaves_all_that_is_kept_to_the_bit_and_halves_the_scale(
    build, digit_batches, two_devices, devices, parts
):
    """Statistics, averages and momentums included; of two devices, the first alone overflows."""
    strategy = two_devices if devices == 2 else strategies.one_device()
    with dtype_policy("mixed_float16"):
        replica = build(small_trainings.shallow, strategy, ema_momentum=0.9, loss_scale=True)
    run = multi_step(replica, strategy=strategy, accumulation=parts)
    size = small_trainings.GLOBAL_BATCH_SIZE // parts // devices
    [images, labels], *_ = digit_batches().take(1).as_numpy_iterator()
    # Images without a label have no gradient.
    labels = np.where(np.arange(16) // size % devices == 0, labels, -1)

    def make(replicas: int, **_) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices((images, labels.astype("int32"))).batch(size, True).repeat()

    iterator = iter(strategies.batches(strategy, make))
    everything = Variables(strategy, replica.variables)
    run(iterator, tf.constant([0.1, 0.1]))
    before = everything.read()
    overflowing = np.float32(2.0**80)
    replica.loss_scale.scale.assign(overflowing)
    [loss], _ = run(iterator, tf.constant([0.1]))
    after = everything.read()
    assert np.isfinite(loss)
    changed = {name for name, value in before.items() if not np.array_equal(value, after[name], equal_nan=True)}
    counted = {name for name in before if name.endswith(("/iteration", "/learning_rate", "/finite_iterations"))}
    assert changed - counted == {"loss_scale/scale"}
    assert after["loss_scale/scale"] == overflowing / 2
    assert after["loss_scale/finite_iterations"] == 0
    assert any("moving_mean" in name for name in before) and any("momentum" in name for name in before)
    replica.loss_scale.scale.assign(loss_scale.FIRST / 64)
    run(iterator, tf.constant([0.1]))
    moved = {name for name, value in everything.read().items() if not np.array_equal(value, after[name])}
    assert {name for name in after if "moving" in name or "kernel" in name} <= moved


def test_the_scale_changes_no_bit_of_float32():
    results = [linear(), linear(loss_scale=lambda _: LossScale())]
    losses = [train(replica, images(), [0.1] * 5) for replica in results]
    np.testing.assert_array_equal(*losses)
    np.testing.assert_array_equal(*map(weights, results))


def test_the_scale_doubles_after_a_while_without_an_overflow(monkeypatch):
    monkeypatch.setattr(loss_scale, "GROWS_AFTER", 3)
    replica = linear(loss_scale=lambda _: LossScale())
    train(replica, images(), [0.1] * 7)
    assert replica.loss_scale.value == 4 * loss_scale.FIRST
    assert int(replica.loss_scale.finite_iterations.value) == 1


def test_a_scale_that_cannot_help_is_exhausted():
    replica = linear(loss_scale=lambda _: LossScale())
    x = images()
    x[0] = np.inf
    assert not replica.loss_scale.exhausted
    train(replica, x, [0.1] * 30)
    assert replica.loss_scale.exhausted


@pytest.mark.parametrize("devices", [1, *slow([2])])
def test_gradients_are_clipped_by_the_norm_of_their_sum(two_devices, devices):
    strategy = two_devices if devices == 2 else None
    x, rate = images(), 0.5
    free, clipped, hardly = (
        linear(strategy),
        linear(strategy, global_clipnorm=0.01),
        linear(strategy, global_clipnorm=9.0),
    )
    before = weights(free)
    for replica in (free, clipped, hardly):
        train(replica, x, [rate], strategy)
    step = weights(free) - before
    norm = np.linalg.norm(step) / rate
    assert 0.01 < norm < 9
    np.testing.assert_allclose(weights(clipped) - before, step * 0.01 / norm, rtol=1e-3, atol=1e-7)
    np.testing.assert_array_equal(weights(hardly), weights(free))


@pytest.mark.parametrize(
    "own", [{"clipnorm": 1.0}, {"global_clipnorm": 1.0}, {"clipvalue": 1.0}, {"use_ema": True}, {"weight_decay": 1e-4}]
)
def test_an_optimizer_that_does_it_before_the_sum_is_refused(own):
    replica = linear()
    with pytest.raises(ValueError, match=rf"`optimizer` must leave {next(iter(own))} to the training"):
        Replica(replica.model, keras.optimizers.SGD(0.1, **own), global_batch_size=BATCH)


@pytest.mark.parametrize("devices", [1, *slow([2])])
def test_the_average_follows_the_weights(two_devices, devices):
    strategy = two_devices if devices == 2 else strategies.one_device()
    replica = linear(strategy, average=lambda model: Average(model, 0.5))
    run = multi_step(replica, strategy=strategy)
    expected = weights(replica).astype("float64")
    for done in range(1, 12):
        train(replica, images(done), [0.1], strategy, run)
        momentum = min(0.5, (1 + done) / (10 + done))
        expected = momentum * expected + (1 - momentum) * weights(replica)
    average = np.concatenate([np.ravel(v.value) for v in replica.average.variables.values()])
    np.testing.assert_allclose(average, expected, rtol=1e-5, atol=1e-7)
    assert np.abs(average - weights(replica)).max() > 1e-3


@pytest.mark.slow
def test_the_average_covers_the_batch_statistics_of_each_device(build, digit_batches, two_devices):
    replica = build(strategy=two_devices, ema_momentum=0.9)
    run = multi_step(replica, strategy=two_devices)
    iterator = iter(digit_batches(0, two_devices))
    everything = Variables(two_devices, replica.variables)
    name = "stem_bn/moving_mean" if "model/stem_bn/moving_mean" in everything.apart else None
    name = name or next(key for key in everything.apart if key.startswith("model/")).removeprefix("model/")
    expected = everything.read()[f"model/{name}"].astype("float64")
    for done in range(1, 5):
        run(iterator, tf.constant([0.1]))
        momentum = min(0.9, (1 + done) / (10 + done))
        expected = momentum * expected + (1 - momentum) * everything.read()[f"model/{name}"]
    np.testing.assert_allclose(everything.read()[f"average/{name}"], expected, rtol=1e-5)
    assert np.abs(expected[0] - expected[1]).max() > 1e-4


@pytest.mark.slow
def test_the_average_stands_in_for_the_network_and_leaves_no_trace(build, digit_batches, two_devices):
    replica = build(strategy=two_devices, ema_momentum=0.9)
    multi_step(replica, strategy=two_devices)(iter(digit_batches(0, two_devices)), tf.constant([0.1] * 3))
    everything = Variables(two_devices, replica.variables)
    before = everything.read()
    with replica.average.in_place():
        inside = everything.read()
    after = everything.read()
    for name in (key.removeprefix("average/") for key in before if key.startswith("average/")):
        np.testing.assert_array_equal(inside[f"model/{name}"], before[f"average/{name}"], err_msg=name)
        np.testing.assert_array_equal(inside[f"average/{name}"], before[f"model/{name}"], err_msg=name)
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)


@pytest.mark.slow
def test_everything_compiles_under_xla_with_static_shapes(build, digit_batches):
    """As a TPU wants it: the whole function of a replica, from its images to the update."""
    replica = build(ema_momentum=0.9, training={"global_clipnorm": 1.0}, normalization_batch_size=8)

    @tf.function(jit_compile=True, autograph=False)
    def whole(images, labels, rate):
        loss, misclassified, gradients = replica.gradients(images, labels)
        return loss, misclassified, replica.update(gradients, rate)

    images, labels = next(iter(digit_batches()))
    hlo = whole.experimental_get_compiler_ir(images, labels, tf.constant(0.1))(stage="hlo")
    assert "convolution" in hlo
    assert not re.findall(r"\[[^\]]*(?:<=|\?)[^\]]*\]", hlo)
    loss, _, finite = whole(images, labels, tf.constant(0.1))
    assert np.isfinite(loss) and finite
