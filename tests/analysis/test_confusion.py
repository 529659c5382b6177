"""Confusion matrices: every image once, and the same errors as evaluation finds."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.analysis import confusion
from keras_resnet.analysis.confusion import ClassError
from keras_resnet.data.splits import ArraySplit
from keras_resnet.data.tensorflow.batches import evaluation_batches
from keras_resnet.training.tensorflow import strategies
from keras_resnet.training.tensorflow.evaluator import evaluator

SIZE, CLASSES = 137, 5


@pytest.fixture
def split() -> ArraySplit:
    noise = np.random.default_rng(0)
    return ArraySplit(noise.integers(0, 256, (SIZE, 4, 4, 1), np.uint8), noise.integers(0, CLASSES, SIZE))


@pytest.fixture
def network() -> keras.Model:
    image = keras.Input((4, 4, 1), dtype="uint8")
    return keras.Model(image, keras.layers.Dense(CLASSES)(keras.layers.Flatten()(keras.layers.Rescaling(1.0)(image))))


@pytest.mark.parametrize("batch_size", [1, 10, SIZE, 200])
def test_every_image_counts_once_whatever_the_batch_size(split, network, batch_size):
    counts = confusion.matrix(network, evaluation_batches(split, batch_size=batch_size), SIZE)
    expected = np.zeros([CLASSES, CLASSES], int)
    for true, seen in zip(split.labels, network(split.images).numpy().argmax(-1), strict=True):
        expected[true, seen] += 1
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, expected)


@pytest.mark.parametrize("images", [SIZE - 1, SIZE + 1])
def test_a_wrong_count_is_an_error(split, network, images):
    with pytest.raises(RuntimeError, match=f"{SIZE} images were counted, but the split has {images}"):
        confusion.matrix(network, evaluation_batches(split, batch_size=10), images)


def test_a_batch_that_is_lost_is_noticed(split, network):
    with pytest.raises(RuntimeError, match=f"130 images were counted, but the split has {SIZE}"):
        confusion.matrix(network, evaluation_batches(split, batch_size=10).take(13), SIZE)


def round_logits(network: keras.Model) -> keras.Model:
    """The network with so few different logits that many of an image are equal."""
    return keras.Model(network.input, tf_layer(lambda x: tf.sign(x) * 2)(network.output))


def break_logits(network: keras.Model) -> keras.Model:
    """The network with some logits that are not numbers."""
    return keras.Model(network.input, tf_layer(lambda x: tf.where(tf.abs(x) > 150.0, np.nan, x))(network.output))


def lose_logits(network: keras.Model) -> keras.Model:
    """The network as it is after a training that diverged."""
    return keras.Model(network.input, tf_layer(lambda x: x * np.nan)(network.output))


def tf_layer(function) -> keras.layers.Layer:
    class Applied(keras.layers.Layer):
        def call(self, inputs):
            return function(inputs)

    return Applied()


@pytest.mark.parametrize("change", [lambda network: network, round_logits, break_logits, lose_logits])
def test_the_error_is_that_of_evaluation_also_in_a_draw_and_without_numbers(split, network, change):
    network = change(network)
    batches = evaluation_batches(split, batch_size=10)
    counts = confusion.matrix(network, batches, SIZE)
    measured = evaluator(network, strategies.one_device())(batches, SIZE)
    assert 100 * (SIZE - counts.trace()) / SIZE == pytest.approx(measured.top1_error, abs=1e-9)


def test_logits_of_the_tests_above_are_what_they_claim(split, network):
    rounded, broken = (change(network)(split.images).numpy() for change in (round_logits, break_logits))
    assert (np.sort(rounded)[:, -1] == np.sort(rounded)[:, -2]).mean() > 0.3
    assert 0.1 < np.isnan(broken).any(axis=1).mean() < 1


COUNTS = np.array([[8, 2, 0, 0], [0, 3, 1, 0], [0, 0, 0, 0], [5, 0, 0, 15]])


def test_the_worst_class_comes_first_and_one_without_images_not():
    assert confusion.by_class(COUNTS) == [
        ClassError(3, 20, 5, 25.0),
        ClassError(1, 4, 1, 25.0),
        ClassError(0, 10, 2, 20.0),
    ]


def test_the_most_frequent_confusion_comes_first():
    assert confusion.most_frequent(COUNTS) == [(3, 0, 5), (0, 1, 2), (1, 2, 1)]
    assert confusion.most_frequent(np.diag([3, 4])) == []
