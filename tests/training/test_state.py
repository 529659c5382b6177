"""The state between two executions, which a checkpoint keeps."""

from __future__ import annotations

import json

import numpy as np
import pytest

from keras_resnet.training.state import State

LOSSES = np.random.default_rng(0).uniform(0, 3, 12).astype("float32")
MISCLASSIFIED = np.arange(12)


def test_sums_are_the_same_bits_however_iterations_are_divided_into_executions():
    states = []
    for ends in ([], [1, 2, 7], range(1, 12)):
        state = State()
        for losses, misclassified in zip(np.split(LOSSES, ends), np.split(MISCLASSIFIED, ends), strict=True):
            state.add(losses, misclassified)
        states.append(state)
    assert states[0] == states[1] == states[2]
    assert (states[0].iteration, states[0].summed, states[0].misclassified) == (12, 12, 66)


def test_means_are_over_the_iterations_since_the_last_ones():
    state = State()
    for part in (slice(0, 5), slice(5, 12)):
        state.add(LOSSES[part], MISCLASSIFIED[part])
        loss, error = state.take_means(global_batch_size=16)
        assert loss == pytest.approx(LOSSES[part].mean())
        assert error == pytest.approx(100 * MISCLASSIFIED[part].mean() / 16)
    assert state.iteration == 12


def test_the_best_validation_is_the_first_of_the_smallest():
    state, best = State(), []
    for iteration, error in ((10, 50.0), (20, 60.0), (30, 40.0), (40, 40.0), (50, 39.9)):
        state.iteration = iteration
        if state.note_validation(error):
            best.append(iteration)
    assert best == [10, 30, 50]
    assert (state.best_iteration, state.best_error) == (50, 39.9)


def test_an_error_of_zero_can_be_the_best():
    state = State()
    assert state.note_validation(0.0)
    assert not state.note_validation(0.0)


def test_a_state_survives_json():
    state = State()
    state.add(LOSSES, MISCLASSIFIED)
    state.note_validation(1 / 3)
    state.schedule = {"best": 0.1, "waited": 2}
    assert State.from_json(json.loads(json.dumps(state.to_json()))) == state


def test_a_checkpoint_of_the_first_version_can_be_continued():
    state = State(iteration=7, loss=3.5, misclassified=11, summed=2)
    document = state.to_json()
    document["wrong"] = document.pop("misclassified")
    assert State.from_json(document) == state
