"""Which points a search asks for, with a measurement that is a formula."""

from __future__ import annotations

import itertools
import math
import socket
from collections import Counter

import pytest

from keras_resnet.search import oracles
from ports import free_ports

CHOICES = {"model.shortcut": ("None", "A", "B"), "model.depth": ("20", "32")}
RANGES = {"optimizer.weight_decay": (1e-5, 1e-3, "log"), "model.depth": (3, 5, "linear")}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(oracles, "PAUSE", 0)


def asked(choices=(), ranges=(), error=lambda values, share: 50.0, **options) -> list:
    """The (values, share) that are measured, in order."""
    calls = []

    def measure(values, share):
        calls.append((values, share))
        return error(values, share)

    assert oracles.search(measure, dict(choices), dict(ranges), **options) == calls
    return calls


def combinations(choices) -> list:
    return [dict(zip(choices, words, strict=True)) for words in itertools.product(*choices.values())]


def test_a_grid_has_every_combination_once_in_order():
    assert asked(CHOICES) == [(values, 1.0) for values in combinations(CHOICES)]


def test_a_grid_ends_after_as_many_points_as_it_may_have():
    assert asked(CHOICES, trials=4) == asked(CHOICES)[:4]


@pytest.mark.parametrize("kind", ["random", "bayesian"])
def test_a_search_that_begins_again_asks_for_the_same_points(kind):
    first, second = (asked(ranges=RANGES, kind=kind, trials=4) for _ in range(2))
    assert first == second
    assert len(first) == 4


def test_more_trials_begin_with_the_same_points():
    assert asked(ranges=RANGES, kind="random", trials=6)[:3] == asked(ranges=RANGES, kind="random", trials=3)


def test_a_random_search_finds_every_point_of_a_grid_and_ends():
    values = [point for point, _ in asked(CHOICES, kind="random", trials=99)]
    assert sorted(map(str, values)) == sorted(map(str, combinations(CHOICES)))


def test_numbers_lie_in_their_range_and_can_be_typed():
    points = [values for values, _ in asked(ranges=RANGES, kind="random", trials=40)]
    decays = [point["optimizer.weight_decay"] for point in points]
    assert {point["model.depth"] for point in points} == {3, 4, 5}
    assert all(1e-5 <= decay <= 1e-3 and decay == float(f"{decay:.4g}") for decay in decays)
    # As many in each order of magnitude: in a linear range 36 of 40 would lie in the upper one.
    assert 10 <= sum(decay < 1e-4 for decay in decays) <= 30


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_bayesian_search_learns_where_the_error_is_small():
    ranges = {"schedule.learning_rate": (0.01, 1.0, "log")}
    far = [
        abs(math.log10(values["schedule.learning_rate"] / 0.1))
        for values, _ in asked(
            ranges=ranges,
            error=lambda values, _: 10 + 40 * math.log10(values["schedule.learning_rate"] / 0.1) ** 2,
            kind="bayesian",
            trials=9,
        )
    ]
    assert min(far[3:]) < min(far[:3])
    assert min(far) < 0.05


def test_hyperband_trains_the_best_of_each_rung_longer():
    points = asked(
        ranges=RANGES,
        error=lambda values, share: 100 * values["optimizer.weight_decay"] / share,
        kind="hyperband",
        rungs=3,
    )
    shares = Counter(round(share, 4) for _, share in points)
    assert shares == {0.1111: 9, 0.3333: 3 + 5, 1.0: 1 + 2 + 3}
    first = sorted(values["optimizer.weight_decay"] for values, _ in points[:9])
    promoted = [values["optimizer.weight_decay"] for values, share in points[9:12]]
    assert promoted == first[:3]
    assert points[12][0]["optimizer.weight_decay"] == first[0]
    assert points[12][1] == 1.0


@pytest.mark.parametrize("kind", oracles.ORACLES)
def test_a_search_goes_on_after_points_that_cannot_be_measured(kind):
    options = {"kind": kind} if kind in ("grid", "hyperband") else {"kind": kind, "trials": 5}
    axes = {"choices": CHOICES} if kind == "grid" else {"ranges": RANGES}
    assert len(asked(**axes, error=lambda values, share: None, **options)) >= 5


@pytest.mark.parametrize("stop", [OSError("disk full"), KeyboardInterrupt(), SystemExit(75)])
def test_an_error_of_the_measurement_ends_the_search(stop):
    calls = []

    def measure(values, share):
        calls.append(values)
        raise stop

    with pytest.raises(type(stop)) as raised:
        oracles.search(measure, CHOICES, {})
    assert raised.value is stop
    assert len(calls) == 1


@pytest.fixture
def port(monkeypatch) -> int:
    """Where several processes are to find their chief."""
    [port] = free_ports(1)
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(port))
    return port


def test_a_chief_that_is_not_there_is_told(monkeypatch, port):
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "worker")
    monkeypatch.setattr("keras_tuner.src.distribute.oracle_client.TIMEOUT", 0.5)
    with pytest.raises(ConnectionError, match=f"the chief of the search at 127.0.0.1:{port} does not answer"):
        asked(CHOICES)


def test_a_chief_whose_port_is_taken_is_told(monkeypatch, port):
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(ConnectionError, match=f"the chief of the search cannot listen at 127.0.0.1:{port}"),
    ):
        asked(CHOICES)


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked(CHOICES)
    assert list(tmp_path.iterdir()) == []
