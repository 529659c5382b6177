"""Many iterations in one call: whatever the number of calls and devices, the same training."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.experiment.build import dtype_policy
from keras_resnet.training.tensorflow import strategies
from keras_resnet.training.tensorflow.multi_step import multi_step
from keras_resnet.training.tensorflow.replica import Replica
from tiers import slow

RATES = np.array([0.1, 0.1, 0.01, 0.05, 0.05, 0.001, 0.1, 0.02], "float32")


def variables(replica) -> dict[str, np.ndarray]:
    """Weights, statistics and momentums by their paths."""
    both = (*replica.model.variables, *replica.optimizer.variables)
    return {variable.path: np.array(variable) for variable in both}


def train(replica, batches, rates, calls=None, strategy=None, **options):
    """Losses and numbers of misclassified images of iterations, divided into calls."""
    iterate = multi_step(replica, strategy=strategy or strategies.one_device(), **options)
    iterator = iter(batches)
    ends = np.cumsum(calls or [len(rates)])[:-1]
    results = [iterate(iterator, tf.constant(part)) for part in np.split(rates, ends)]
    return tuple(np.concatenate(parts) for parts in zip(*results, strict=True))


@pytest.mark.parametrize(("calls", "steps_per_execution"), [([3, 5], None), *slow([([1] * 8, None), ([1] * 8, 1)])])
def test_iterations_are_the_same_bits_however_they_are_divided_into_calls(
    build, digit_batches, calls, steps_per_execution
):
    """Also in calls of one, whose graph has no loop."""
    results = []
    for division, longest in (([8], None), (calls, steps_per_execution)):
        network = build()
        results.append(
            (train(network, digit_batches(), RATES, division, steps_per_execution=longest), variables(network))
        )
    (losses, wrong), expected = results[0]
    np.testing.assert_array_equal(results[1][0], (losses, wrong))
    for path, value in results[1][1].items():
        np.testing.assert_array_equal(value, expected[path], err_msg=path)


def test_a_graph_is_traced_once_whatever_the_number_of_iterations(build, digit_batches, monkeypatch):
    replica = build()
    traced = []
    gradients = replica.gradients
    monkeypatch.setattr(replica, "gradients", lambda *arguments: traced.append(1) or gradients(*arguments))
    train(replica, digit_batches(), RATES, [2, 1, 5])
    assert len(traced) == 1


def test_each_iteration_is_a_step_of_caffe_s_at_its_own_rate(build, digit_batches):
    replica, reference = build(), build().model
    momentums = [np.zeros(weights.shape, "float32") for weights in reference.trainable_variables]
    expected = []
    for rate, (images, labels) in zip(RATES, digit_batches(), strict=False):
        with tf.GradientTape() as tape:
            logits = reference(images, training=True)
            scores = tf.nn.softmax(logits)
            loss = tf.reduce_mean(-tf.math.log(tf.gather(scores, labels, batch_dims=1)))
        weights = reference.trainable_variables
        for number, gradient in enumerate(tape.gradient(loss, weights)):
            value = np.array(weights[number])
            decay = 1e-4 * value if value.ndim >= 2 else 0.0
            momentums[number] = 0.9 * momentums[number] - rate * (gradient.numpy() + decay)
            weights[number].assign(value + momentums[number])
        expected.append((loss.numpy(), np.sum(logits.numpy().argmax(-1) != labels.numpy())))
    losses, wrong = train(replica, digit_batches(), RATES)
    np.testing.assert_allclose(losses, [loss for loss, _ in expected], rtol=1e-5)
    assert wrong.tolist() == [count for _, count in expected]
    for trained, stepped in zip(replica.model.variables, reference.variables, strict=True):
        scale = np.abs(stepped).max()
        np.testing.assert_allclose(trained, stepped, atol=1e-5 * scale, err_msg=trained.path)


@pytest.mark.slow
def test_each_device_sees_its_own_part_of_the_batch(build, digit_batches, two_devices):
    """Without synchronization the statistics are those of a half, but each image still counts once."""
    model = build().model
    [images, labels], *_ = digit_batches().take(1).as_numpy_iterator()
    halves = [model(part, training=True).numpy() for part in tf.split(images, 2)]
    scores = keras.ops.softmax(np.concatenate(halves), axis=-1).numpy()[np.arange(16), labels]
    network = build(strategy=two_devices)
    [loss], [wrong] = train(network, digit_batches(0, two_devices), RATES[:1], strategy=two_devices)
    assert loss == pytest.approx(-np.log(scores).mean(), rel=1e-6)
    assert wrong == (np.concatenate(halves).argmax(-1) != labels).sum()


def test_bfloat16_computes_and_float32_remembers(build, digit_batches):
    with dtype_policy("mixed_bfloat16"):
        replica = build()
    assert replica.model.get_layer("conv2_block1_1_conv").output.dtype == "bfloat16"
    assert replica.model.output.dtype == "float32"
    losses, _ = train(replica, digit_batches(), RATES[:2])
    assert losses.dtype == "float32"
    remembered = variables(replica)
    remembered.pop("SGD/iteration")
    for path, value in remembered.items():
        assert value.dtype == "float32", path
        # A value that has been through bfloat16 ends in sixteen zero bits.
        if value.size > 1 and value.any():
            assert (value.view("uint32") & 0xFFFF).any(), path


def test_an_image_without_a_label_contributes_nothing():
    def trained(filling: int):
        keras.utils.set_random_seed(1)
        inputs = keras.Input((4,))
        model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        optimizer = keras.optimizers.SGD(1.0)
        optimizer.build(model.trainable_variables)
        images = np.full((16, 4), filling, "float32")
        images[:12] = np.random.default_rng(0).normal(size=(12, 4))
        labels = np.array([0, 1, 2] * 4 + [-1] * 4, "int32")
        expected = -np.log(keras.ops.softmax(model(images[:12])).numpy()[np.arange(12), labels[:12]]).sum() / 16
        batches = tf.data.Dataset.from_tensors((images, labels)).repeat()
        losses, wrong = train(Replica(model, optimizer, global_batch_size=16), batches, RATES[:3])
        assert losses[0] == pytest.approx(expected, rel=1e-6)
        return losses, wrong, *model.get_weights()

    for black, white in zip(trained(0), trained(255), strict=True):
        np.testing.assert_array_equal(black, white)
