"""Loss and errors against numpy."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_resnet.optimization.losses import cross_entropy, misclassified

NAN, INFINITY = float("nan"), float("inf")


def value(tensor):
    return keras.ops.convert_to_numpy(tensor)


def batch(images=50, classes=7):
    random = np.random.default_rng(0)
    return random.normal(scale=3.0, size=(images, classes)).astype("float32"), random.integers(0, classes, images)


def is_misclassified(logits, label, k=1) -> bool:
    [answer] = value(
        misclassified(keras.ops.convert_to_tensor([logits], "float32"), keras.ops.convert_to_tensor([label]), k)
    )
    return bool(answer)


def test_cross_entropy_is_minus_the_logarithm_of_the_score_of_the_label():
    logits, labels = batch()
    scores = np.exp(logits.astype("float64"))
    expected = -np.log(scores[np.arange(50), labels] / scores.sum(-1))
    np.testing.assert_allclose(value(cross_entropy(logits, labels)), expected, rtol=1e-5, atol=1e-6)


def test_smoothing_is_the_cross_entropy_with_a_smoothed_target():
    logits, labels = batch()
    log_scores = logits - np.log(np.exp(logits.astype("float64")).sum(-1, keepdims=True))
    target = 0.9 * np.eye(7)[labels] + 0.1 / 7
    smoothed = value(cross_entropy(logits, labels, smoothing=0.1))
    np.testing.assert_allclose(smoothed, -(target * log_scores).sum(-1), rtol=1e-5)
    assert value(cross_entropy(logits, -np.ones_like(labels), smoothing=0.1)).tolist() == [0.0] * 50


def test_cross_entropy_of_large_logits_is_finite():
    logits = np.array([[1e4, 0.0], [1e4, 0.0]], "float32")
    np.testing.assert_allclose(value(cross_entropy(logits, np.array([0, 1]))), [0.0, 1e4])


def test_cross_entropy_is_float32_whatever_the_logits_are():
    logits, labels = batch()
    low = keras.ops.cast(logits, "bfloat16")
    losses = cross_entropy(low, labels)
    assert losses.dtype == "float32"
    np.testing.assert_allclose(value(losses), value(cross_entropy(keras.ops.cast(low, "float32"), labels)), rtol=1e-6)


@pytest.mark.parametrize("k", [1, 2, 5, 6])
def test_wrong_is_not_among_the_k_largest(k):
    logits, labels = batch()
    largest = np.argsort(logits, -1)[:, -k:]
    expected = [label not in row for row, label in zip(largest, labels, strict=True)]
    assert 0 < sum(expected) < 50
    np.testing.assert_array_equal(value(misclassified(logits, labels, k)), expected)


@pytest.mark.parametrize("k", [7, 8, 100])
def test_with_as_many_guesses_as_classes_nothing_is_misclassified(k):
    assert not value(misclassified(*batch(), k)).any()


def test_images_that_fill_up_their_batch_cost_nothing_and_are_not_misclassified():
    logits, labels = batch()
    filled = np.where(np.arange(50) % 3 == 0, -1, labels)
    for measure in (cross_entropy, misclassified):
        expected = np.where(filled < 0, 0, value(measure(logits, labels)))
        np.testing.assert_array_equal(value(measure(logits, filled)), expected)


def test_a_tie_counts_against_the_label():
    assert is_misclassified([1.0, 1.0, 0.0], 0)
    assert not is_misclassified([1.0, 1.0, 0.0], 0, k=2)
    assert is_misclassified([2.0, 2.0, 2.0], 1, k=2)


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("logits", [[NAN, NAN, NAN], [NAN, 0.0, 1.0]], ids=str)
def test_a_label_without_a_number_is_wrong_however_many_guesses_there_are(logits, k):
    assert is_misclassified(logits, 0, k)


def test_what_is_no_number_counts_as_larger_and_infinity_as_the_largest():
    assert is_misclassified([1.0, NAN, 0.0], 0)
    assert not is_misclassified([1.0, NAN, 0.0], 0, k=2)
    assert not is_misclassified([INFINITY, 0.0, -INFINITY], 0)
    assert is_misclassified([INFINITY, 0.0, -INFINITY], 2, k=2)
