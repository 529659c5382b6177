"""The order of the images is a function of the seed and the position, the same whatever computes it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from keras_resnet.data import order
from keras_resnet.data.order import batch, batches, draws_of, permutation, uniform_draws
from keras_resnet.data.tensorflow import order as graph

SEEDS = (0, 3, -1, 2**63 - 1, -(2**63))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000, 4 * order.TOGETHER + 5])
def test_the_numbers_are_those_of_tensorflow_to_the_bit(size):
    for seed, epoch in [*((seed, 0) for seed in SEEDS), (3, 1), (3, 2**40)]:
        which = {"seed": seed, "epoch": epoch}
        np.testing.assert_array_equal(permutation(size, **which), graph.permutation(size, **which).numpy())
        for count in (0, 1, 3, 7):
            expected = graph.uniform_draws(size, count, **which).numpy()
            draws = uniform_draws(size, count, **which)
            assert draws.dtype == expected.dtype == np.float32
            np.testing.assert_array_equal(draws, expected)
            some = np.arange(size)[:: -max(1, size // 5)]
            np.testing.assert_array_equal(draws_of(some, count, **which), expected[some])


@pytest.mark.parametrize(
    ("size", "batch_size", "iteration"), [(7, 3, 0), (7, 3, 5), (7, 20, 1), (7, 7, 10**8), (5, 1, 9)]
)
def test_any_batch_is_that_of_the_stream(size, batch_size, iteration):
    stream = graph.stream(size, 2, seed=3, first_position=iteration * batch_size).batch(batch_size)
    expected = list(stream.take(3).as_numpy_iterator())
    found = batches(size, 2, seed=3, batch_size=batch_size, first_iteration=iteration)
    for number, (one, other) in enumerate(zip(expected, itertools.islice(found, 3), strict=True)):
        alone = batch(size, 2, seed=3, batch_size=batch_size, iteration=iteration + number)
        for first, second, third in zip(one, other, alone, strict=True):
            assert first.dtype == second.dtype == third.dtype
            np.testing.assert_array_equal(second, first)
            np.testing.assert_array_equal(third, first)


def take(count, **options):
    elements = list(itertools.islice(graph.stream(7, 2, **options).as_numpy_iterator(), count))
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
        table = uniform_draws(7, 2, seed=3, epoch=epoch)
        np.testing.assert_array_equal(draws[part], table[indices[part]])


def test_seeds_and_epochs_differ():
    orders = {tuple(permutation(100, seed=seed, epoch=epoch)) for seed in (0, 1, -1) for epoch in range(3)}
    draws = {tuple(uniform_draws(100, 1, seed=seed, epoch=epoch)[:, 0]) for seed in (0, 1) for epoch in (0, 1)}
    assert (len(orders), len(draws)) == (9, 4)


def test_order_and_draws_have_random_numbers_of_their_own():
    assert order._stream(3, 5, order.ORDER) != order._stream(3, 5, order.DRAWS)


def test_what_is_kept_of_an_epoch_cannot_be_spoiled():
    with pytest.raises(ValueError, match="read-only"):
        permutation(7, seed=3, epoch=0)[0] = 1


def test_draws_are_uniform():
    draws = np.sort(uniform_draws(10_000, 1, seed=0, epoch=0)[:, 0])
    assert draws[0] >= 0
    assert draws[-1] < 1
    np.testing.assert_allclose(draws, np.linspace(0, 1, 10_000), atol=0.03)


@pytest.mark.slow
def test_every_image_is_equally_likely_at_every_position():
    orders = np.stack([permutation(5, seed=0, epoch=epoch) for epoch in range(300)])
    counts = np.stack([np.bincount(column, minlength=5) for column in orders.T])
    assert (np.abs(counts - 60) < 30).all()
