"""Errors over a split: every image once, whatever the batches and the devices."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.splits import ArraySplit
from keras_resnet.data.tensorflow.batches import evaluation_batches
from keras_resnet.evaluation.error_rates import ErrorRates
from keras_resnet.models.layers.batch_normalization import BatchNormalization
from keras_resnet.training.tensorflow import strategies
from keras_resnet.training.tensorflow.evaluator import evaluator
from tiers import slow

SIZE = 37


@pytest.fixture
def split() -> ArraySplit:
    noise = np.random.default_rng(0)
    return ArraySplit(noise.integers(0, 256, (SIZE, 4, 4, 1), np.uint8), noise.integers(0, 10, SIZE))


def make(strategy: tf.distribute.Strategy | None = None) -> keras.Model:
    """A network that is right about some of the images."""
    keras.utils.set_random_seed(1)
    with (strategy or strategies.one_device()).scope():
        image = keras.Input((4, 4, 1), dtype="uint8")
        x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
        return keras.Model(image, keras.layers.Dense(10)(BatchNormalization()(x)))


def batches(split: ArraySplit, batch_size: int, strategy: tf.distribute.Strategy) -> tf.distribute.DistributedDataset:
    """For every replica."""
    return strategies.batches(strategy, functools.partial(evaluation_batches, split, batch_size=batch_size))


def by_numpy(logits: np.ndarray, labels: np.ndarray) -> ErrorRates:
    """The definition, without batches: sorted logits, and the cross-entropy in float64."""
    logits = logits.astype(np.float64)
    losses = np.log(np.exp(logits).sum(-1)) - logits[np.arange(len(labels)), labels]
    order = np.argsort(-logits, axis=-1)
    top1, top5 = (
        100 * np.mean([label not in row[:k] for label, row in zip(labels, order, strict=True)]) for k in (1, 5)
    )
    return ErrorRates(len(labels), losses.mean(), top1, top5)


def equal(measured: ErrorRates, expected: ErrorRates) -> bool:
    return vars(measured) == pytest.approx(vars(expected), rel=1e-6)


@pytest.mark.parametrize("batch_size", [10, 64, *slow([1, 36, SIZE])])
def test_every_image_counts_once_whatever_the_batch_size(split, batch_size):
    model = make()
    expected = by_numpy(model.predict(split.images, verbose=0), split.labels)
    assert 0 < expected.top5_error < expected.top1_error < 100
    evaluate = evaluator(model, strategies.one_device())
    assert equal(evaluate(evaluation_batches(split, batch_size=batch_size), SIZE), expected)


def test_splits_of_one_batch_size_share_a_graph(split):
    model = make()
    evaluate = evaluator(model, strategies.one_device())
    traced = []
    call = model.call
    model.call = lambda *arguments, **options: traced.append(1) or call(*arguments, **options)
    for part in (split, split.part(0, 5), split):
        assert evaluate(evaluation_batches(part, batch_size=10), part.size).images == part.size
    assert len(traced) == 1


@pytest.mark.parametrize("images", [SIZE - 1, SIZE + 1])
def test_a_wrong_count_is_an_error(split, images):
    evaluate = evaluator(make(), strategies.one_device())
    with pytest.raises(RuntimeError, match=f"{SIZE} images were evaluated, but the split has {images}"):
        evaluate(evaluation_batches(split, batch_size=10), images)


def test_a_batch_that_is_lost_is_noticed(split):
    evaluate = evaluator(make(), strategies.one_device())
    with pytest.raises(RuntimeError, match=f"30 images were evaluated, but the split has {SIZE}"):
        evaluate(evaluation_batches(split, batch_size=10).take(3), SIZE)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [2, 10, 64])
def test_two_devices_measure_like_one(split, two_devices, batch_size):
    model = make(two_devices)
    expected = by_numpy(make().predict(split.images, verbose=0), split.labels)
    evaluate = evaluator(model, two_devices)
    assert equal(evaluate(batches(split, batch_size, two_devices), SIZE), expected)


def test_two_devices_measure_the_network_that_is_saved(split, two_devices):
    """Each device has seen other images, and has other moving statistics; a file has their mean."""
    model = make(two_devices)
    inputs = two_devices.experimental_distribute_values_from_function(
        lambda device: tf.constant(split.images[:16] if device.replica_id_in_sync_group else split.images[16:32] // 8)
    )
    for _ in range(3):
        two_devices.run(lambda images: model(images, training=True), args=(inputs,))
    saved = make()
    saved.set_weights(model.get_weights())
    expected = by_numpy(saved.predict(split.images, verbose=0), split.labels)
    measured = evaluator(model, two_devices)(batches(split, 10, two_devices), SIZE)
    assert equal(measured, expected)


def test_batches_that_every_device_reads_whole_are_noticed(split, two_devices):
    """Each image would count twice, and no error would tell."""
    with pytest.raises(RuntimeError, match=f"{2 * SIZE} images were evaluated, but the split has {SIZE}"):
        evaluator(make(two_devices), two_devices)(evaluation_batches(split, batch_size=10), SIZE)


class Always(keras.layers.Layer):
    """The same logits for every image."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def call(self, images):
        return tf.tile(tf.constant([self.logits], "float32"), [tf.shape(images)[0], 1])


@pytest.mark.parametrize(
    ("logits", "top1_error", "top5_error"),
    [
        ([0.0] * 10, 100.0, 100.0),
        ([float("nan")] * 10, 100.0, 100.0),
        ([1.0] + [0.0] * 9, 0.0, 0.0),
        ([3.0, 7.0, 6.0, 5.0, 4.0, *range(-5, 0)], 100.0, 0.0),
        ([3.0, 7.0, 6.0, 5.0, 4.0, 3.5, *range(-4, 0)], 100.0, 100.0),
        ([1.0, 1.0] + [0.0] * 8, 100.0, 0.0),  # a draw is no win
        ([0.5, 0.0, 1.0], 100.0, None),  # all of three classes are among the first five
    ],
)
def test_a_network_that_is_broken_or_undecided_is_wrong(logits, top1_error, top5_error):
    image = keras.Input((1, 1, 1), dtype="uint8")
    model = keras.Model(image, Always(logits)(image))
    split = ArraySplit(np.zeros((7, 1, 1, 1), np.uint8), np.zeros(7, np.int64))
    measured = evaluator(model, strategies.one_device())(evaluation_batches(split, batch_size=4), 7)
    assert (measured.top1_error, measured.top5_error) == (top1_error, top5_error)
