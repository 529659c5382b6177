"""How many iterations run at once."""

from __future__ import annotations

import itertools
import math

import pytest

from keras_resnet.training.intervals import Intervals


@pytest.mark.parametrize("steps", [1, 5, 100])
@pytest.mark.parametrize("pace", [0.0, 0.5, 4.0, 60.0, math.inf])
def test_an_execution_ends_at_the_first_event_and_no_earlier(steps, pace):
    """Or where its seconds end, but never before the first iteration."""
    for events in itertools.product((1, 4, 6, 50), repeat=3):
        intervals = Intervals(*events, steps, seconds=10.0)
        most = min(steps, max(1, int(10 / pace))) if pace else steps
        for iteration in range(30):
            count = intervals.until_next(iteration, 30, pace)
            inside, end = range(iteration + 1, iteration + count), iteration + count
            assert 0 < count <= most and end <= 30
            assert count == most or end == 30 or any(end % every == 0 for every in events)
            assert not any(between % every == 0 for between in inside for every in events)
