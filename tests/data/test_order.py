"""The order of the images is a function of the seed and the position."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from keras_resnet.data import order
from keras_resnet.data.order import permutation, stream, uniform_draws


def take(count, **options):
    elements = list(itertools.islice(stream(7, 2, **options).as_numpy_iterator(), count))
    return np.array([index for index, _ in elements]), np.array([draws for _, draws in elements])


def test_an_epoch_visits_every_image_once():
    indices, _ = take(21, seed=3)
    for epoch in indices.reshape(3, 7):
        assert sorted(epoch) == list(range(7))


@pytest.mark.parametrize("first", [0, 1, 6, 7, 8, 700_000_003])
def test_the_stream_can_start_anywhere(first):
    epoch = first // 7
    expected = np.concatenate([permutation(7, seed=3, epoch=epoch + k) for k in range(3)])[first % 7 :]
    indices, _ = take(len(expected), seed=3, first_position=first)
    np.testing.assert_array_equal(indices, expected)


def test_draws_belong_to_the_image_and_the_epoch():
    indices, draws = take(14, seed=3)
    for epoch in range(2):
        part = slice(7 * epoch, 7 * epoch + 7)
        table = uniform_draws(7, 2, seed=3, epoch=epoch).numpy()
        np.testing.assert_array_equal(draws[part], table[indices[part]])


def test_seeds_and_epochs_differ():
    orders = {tuple(permutation(100, seed=seed, epoch=epoch).numpy()) for seed in (0, 1, -1) for epoch in range(3)}
    draws = {tuple(uniform_draws(100, 1, seed=seed, epoch=epoch).numpy()[:, 0]) for seed in (0, 1) for epoch in (0, 1)}
    assert (len(orders), len(draws)) == (9, 4)


def test_order_and_draws_have_random_numbers_of_their_own():
    keys = [order._key(3, 5, stream).numpy().tolist() for stream in (order.ORDER, order.DRAWS)]
    assert keys[0] != keys[1]


def test_draws_are_uniform():
    draws = np.sort(uniform_draws(10_000, 1, seed=0, epoch=0).numpy()[:, 0])
    assert draws[0] >= 0
    assert draws[-1] < 1
    np.testing.assert_allclose(draws, np.linspace(0, 1, 10_000), atol=0.03)


@pytest.mark.slow
def test_every_image_is_equally_likely_at_every_position():
    orders = np.stack([permutation(5, seed=0, epoch=epoch) for epoch in range(300)])
    counts = np.stack([np.bincount(column, minlength=5) for column in orders.T])
    assert (np.abs(counts - 60) < 30).all()
