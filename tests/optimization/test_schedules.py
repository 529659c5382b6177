"""Learning rates: each rule by its numbers, the two ways of calling, and what a resumed run remembers."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import get_args

import keras
import numpy as np
import pytest

from keras_resnet.config.schedule import ScheduleConfig, ScheduleName
from keras_resnet.optimization import optimizers, schedules
from keras_resnet.optimization.schedules import Cosine, ErrorGate, Plateau, Polynomial, Steps, Warmup
from tiers import slow

BY_ITERATION = {
    "steps": Steps(0.1, (3, 6)),
    "no steps": Steps(0.1, ()),
    "cosine": Cosine(0.1, 8),
    "polynomial": Polynomial(0.1, 8, power=1.5, start=2),
    "warm-up": Warmup(Steps(0.1, (3, 6)), 2),
    "warm-up to a cosine": Warmup(Cosine(0.1, 8), 3, first=0.01),
}
BY_ERROR = {
    "plateau": Plateau(0.1, patience=2),
    "error gate": ErrorGate(Steps(0.1, (3, 6))),
    "error gate before a plateau": ErrorGate(Plateau(0.1, patience=2)),
    "warm-up to a plateau": Warmup(Plateau(0.1, patience=2), 2),
}


def fresh(schedule: schedules.Schedule) -> schedules.Schedule:
    return type(schedule).from_config(schedule.get_config())


def test_steps_drop_at_the_boundary_itself():
    rates = Steps(0.1, (32_000, 48_000))(np.array([0, 31_999, 32_000, 47_999, 48_000, 63_999]))
    assert rates.dtype == np.float32
    np.testing.assert_array_equal(rates, np.array([0.1, 0.1, 0.01, 0.01, 0.001, 0.001], "float32"))


def test_steps_have_the_factor_given():
    np.testing.assert_allclose(Steps(0.1, (1, 2), factor=0.2)(np.arange(3)), [0.1, 0.02, 0.004], rtol=1e-6)


def test_cosine():
    expected = [0.2, 0.1 * (1 + math.sqrt(0.5)), 0.1, 0.1 * (1 - math.sqrt(0.5)), 0, 0]
    np.testing.assert_allclose(Cosine(0.2, 8)(np.array([0, 2, 4, 6, 8, 9])), expected, rtol=1e-6, atol=1e-9)


def test_polynomial_falls_from_its_start_to_zero_and_stays_there():
    rates = Polynomial(0.9, 5, power=2.0, start=2)(np.arange(8))
    np.testing.assert_allclose(rates, [0.9, 0.9, 0.9, 0.4, 0.1, 0, 0, 0], rtol=1e-6)


def test_a_polynomial_of_power_1_is_a_straight_line():
    np.testing.assert_allclose(Polynomial(0.8, 4, power=1.0)(np.arange(5)), [0.8, 0.6, 0.4, 0.2, 0], rtol=1e-6)


def test_warmup_is_linear_and_meets_the_schedule_behind():
    rates = Warmup(Steps(0.5, (5,)), 4, first=0.1)(np.arange(7))
    np.testing.assert_allclose(rates, [0.1, 0.2, 0.3, 0.4, 0.5, 0.05, 0.05], rtol=1e-6)


def test_warmup_to_a_cosine_aims_at_where_the_cosine_is():
    cosine, rates = Cosine(0.1, 10), Warmup(Cosine(0.1, 10), 5)(np.arange(10))
    np.testing.assert_allclose(rates[:5], 0.05 * np.arange(5) / 5, rtol=1e-6)
    np.testing.assert_array_equal(rates[5:], cosine(np.arange(5, 10)))


def test_plateau_drops_after_patience_and_counts_anew():
    plateau = Plateau(0.1, patience=2, minimum_improvement=0.5)
    # The best so far: 50; 50; 40; 40 (by too little); 40; 40; 40.
    said = [plateau.observe(10 * k, validation_error=e) for k, e in enumerate((50, 50, 40, 39.8, 41, 41, 42), start=1)]
    assert [k for k, message in enumerate(said, start=1) if message] == [5, 7]
    assert said[4] == (
        "validation error has not improved on 40% in 2 validations: learning rate 0.1 -> 0.01 from iteration 50"
    )
    rates = plateau(np.array([0, 49, 50, 69, 70, 1000]))
    np.testing.assert_array_equal(rates, np.array([0.1, 0.1, 0.01, 0.01, 0.001, 0.001], "float32"))


def test_plateau_ignores_the_training_error():
    plateau = Plateau(0.1, patience=1)
    assert not any(plateau.observe(k, training_error=50.0) for k in range(5))
    assert plateau.state == Plateau(0.1, patience=1).state


def test_plateau_takes_a_missing_number_for_no_improvement():
    plateau = Plateau(0.1, patience=1)
    plateau.observe(1, validation_error=50.0)
    assert plateau.observe(2, validation_error=math.nan)


def test_error_gate_opens_once_and_keeps_the_boundaries():
    gate = ErrorGate(Steps(0.1, (3200, 4800)))
    assert gate.observe(200, training_error=85.0) is None
    assert gate.observe(300, training_error=80.0) is None
    assert gate.observe(300, training_error=math.nan) is None
    assert gate.observe(300, validation_error=10.0) is None
    assert gate(300) == np.float32(0.01)
    assert gate.observe(400, training_error=79.1) == (
        "training error 79.1% is below 80%: learning rate 0.01 -> 0.1 from iteration 400"
    )
    assert gate.observe(500, training_error=90.0) is None
    assert gate.observe(600, training_error=70.0) is None
    rates = gate(np.array([0, 399, 400, 3199, 3200, 4800]))
    np.testing.assert_array_equal(rates, np.array([0.01, 0.01, 0.1, 0.1, 0.01, 0.001], "float32"))


def test_error_gate_tells_the_schedule_behind_it_only_once_open():
    gate = ErrorGate(Plateau(0.1, patience=1), error=50.0)
    for k in range(3):
        gate.observe(k, validation_error=90.0)
    gate.observe(3, training_error=40.0)
    assert gate.observe(4, validation_error=90.0) is None
    assert "0.1 -> 0.01" in gate.observe(5, validation_error=90.0)


@pytest.mark.parametrize("schedule", [*BY_ITERATION.values(), *BY_ERROR.values()], ids=[*BY_ITERATION, *BY_ERROR])
def test_a_rate_does_not_depend_on_what_was_asked_with_it(schedule):
    schedule = fresh(schedule)
    schedule.observe(4, training_error=10.0, validation_error=10.0)
    whole = schedule(np.arange(101))
    assert whole.shape == (101,)
    np.testing.assert_array_equal(whole, np.concatenate([schedule(np.arange(37)), schedule(np.arange(37, 101))]))
    np.testing.assert_array_equal(whole, [schedule(iteration) for iteration in range(101)])


@pytest.mark.parametrize("schedule", BY_ITERATION.values(), ids=BY_ITERATION)
def test_tensors_and_numbers_agree(schedule):
    for iteration in range(10):
        rate = schedule(keras.ops.convert_to_tensor(iteration))
        assert keras.backend.standardize_dtype(rate.dtype) == "float32"
        np.testing.assert_allclose(rate, schedule(iteration), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "name", ["cosine", "warm-up", *slow(["steps", "no steps", "polynomial", "warm-up to a cosine"])]
)
def test_fit_follows_the_schedule(name):
    """The gradient is 1 in every iteration, so the weight falls by the sum of the learning rates."""
    schedule = BY_ITERATION[name]
    model = keras.Sequential([keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    sgd = optimizers.SGD(schedule, momentum=0.0, coupled_weight_decay=0.0)
    model.compile(sgd, loss=lambda _, output: keras.ops.mean(output))
    model.fit(np.ones((9, 1), "float32"), np.zeros((9, 1), "float32"), batch_size=1, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], -schedule(np.arange(9)).sum(), rtol=1e-5)


@pytest.mark.parametrize("schedule", BY_ERROR.values(), ids=BY_ERROR)
def test_fit_refuses_a_schedule_that_follows_errors(schedule):
    with pytest.raises(ValueError, match=r"must depend on the iteration alone\. Received: \w+, which follows errors"):
        schedule(keras.ops.convert_to_tensor(0))


@pytest.mark.parametrize("schedule", [*BY_ITERATION.values(), *BY_ERROR.values()], ids=[*BY_ITERATION, *BY_ERROR])
def test_survives_serialization_inside_an_optimizer(schedule):
    sgd = optimizers.SGD(schedule)
    config = json.loads(json.dumps(keras.optimizers.serialize(sgd)))
    again = keras.optimizers.deserialize(config)._learning_rate
    assert type(again) is type(schedule)
    np.testing.assert_array_equal(again(np.arange(12)), fresh(schedule)(np.arange(12)))


@pytest.mark.parametrize("schedule", BY_ERROR.values(), ids=BY_ERROR)
def test_a_restored_schedule_goes_on_like_the_first(schedule):
    def tell(schedule: schedules.Schedule, iterations: range) -> list[str | None]:
        return [schedule.observe(k, training_error=85.0 - 3 * k, validation_error=60.0) for k in iterations]

    whole, first, second = fresh(schedule), fresh(schedule), fresh(schedule)
    expected = tell(whole, range(12))
    said = tell(first, range(4))
    second.restore(json.loads(json.dumps(first.state)))
    assert said + tell(second, range(4, 12)) == expected
    assert second.state == whole.state
    assert any(expected)
    np.testing.assert_array_equal(second(np.arange(20)), whole(np.arange(20)))


@pytest.mark.parametrize("schedule", BY_ITERATION.values(), ids=BY_ITERATION)
def test_a_schedule_by_iteration_remembers_nothing(schedule):
    assert schedule.observe(5, training_error=10.0, validation_error=10.0) is None
    assert schedule.state == {}
    schedule.restore({})


def test_a_state_is_a_copy():
    plateau = Plateau(0.1, patience=1)
    state = plateau.state
    for k in range(3):
        plateau.observe(k, validation_error=1.0)
    assert state == Plateau(0.1, patience=1).state != plateau.state


def test_the_state_of_another_schedule_is_refused():
    with pytest.raises(ValueError, match=r"keys \['best', 'drops', 'waited'\] of Plateau\. Received: \['opened'"):
        Plateau(0.1, patience=1).restore(ErrorGate(Steps(0.1, ())).state)


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: Steps(0.1, (6, 3)), r"`boundaries` must increase. Received: boundaries=\(6, 3\)"),
        (lambda: Steps(0.1, (3, 3)), "`boundaries` must increase"),
        (lambda: Cosine(0.1, 0), "`iterations` must be at least 1. Received: iterations=0"),
        (lambda: Polynomial(0.1, 5, start=5), "`start` must be at least 0 and below iterations=5. Received: start=5"),
        (lambda: Polynomial(0.1, 5, power=0), "`power` must be positive. Received: power=0"),
        (lambda: Warmup(Steps(0.1, ()), 0), "`iterations` must be at least 1. Received: iterations=0"),
        (lambda: Plateau(0.1, patience=0), "`patience` must be at least 1. Received: patience=0"),
    ],
)
def test_senseless_arguments_are_refused(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()


def test_table_has_the_words_of_the_recipe():
    assert tuple(schedules.SCHEDULES) == get_args(ScheduleName)


@pytest.mark.parametrize(
    ("name", "warmup", "rates"),
    [
        ("steps", 2, [0.1, 0.3, 0.5, 0.5, 0.1, 0.1, 0.02, 0.02]),
        ("polynomial", 4, [0.1, 0.2, 0.3, 0.4, 0.5, 0.5 * (3 / 4) ** 3, 0.5 / 8, 0.5 / 64]),
        ("plateau", 2, [0.1, 0.3, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]),
        ("error-gate", 0, [0.05, 0.05, 0.05, 0.5, 0.1, 0.1, 0.02, 0.02]),
        ("cosine", 0, [0.25 * (1 + math.cos(math.pi * k / 8)) for k in range(8)]),
    ],
)
def test_rows_take_every_setting_of_a_recipe(name, warmup, rates):
    settings = ScheduleConfig(
        name=name,
        learning_rate=0.5,
        iterations=8,
        boundaries=(4, 6),
        factor=0.2,
        warmup_iterations=warmup,
        warmup_learning_rate=0.1 if warmup else 0.0,
        gate_learning_rate=0.05,
        gate_error=70.0,
        patience=3,
        power=3.0,
    )
    keywords = dataclasses.asdict(settings)
    del keywords["name"], keywords["scale"]
    schedule = schedules.SCHEDULES[name](**keywords)
    schedule.observe(3, training_error=69.0, validation_error=1.0)
    np.testing.assert_allclose(schedule(np.arange(8)), rates, rtol=1e-6)


def test_the_row_plateau_has_the_patience_given():
    schedule = schedules.SCHEDULES["plateau"](learning_rate=0.5, patience=3, factor=0.2)
    assert [bool(schedule.observe(k, validation_error=1.0)) for k in range(5)] == [False, False, False, True, False]
