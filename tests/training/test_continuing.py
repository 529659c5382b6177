"""A run that was stopped anywhere comes to the same bits as one that was not."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from checkpoint_content import content
from interruptions import At, press_ctrl_c
from keras_resnet.host.signals import Stopped
from keras_resnet.optimization.schedules import ErrorGate, Plateau, Steps
from keras_resnet.runs.history import History
from keras_resnet.training.checkpoints import Checkpoints
from keras_resnet.training.intervals import Intervals
from tiers import slow

HOUR = 3600.0  # seconds in which any iterations end, so that a slow machine runs as many at once


class CrashError(Exception):
    pass


def crash():
    raise CrashError


def ask_to_stop():
    os.kill(os.getpid(), signal.SIGTERM)


def outcome(directory: Path, iteration: int) -> dict:
    """What a run leaves: the record, and everything in the checkpoint of an iteration."""
    values = content(directory / "checkpoints", iteration)
    assert "progress" in values and len(values) >= 3
    return values | {"history.csv": (directory / "history.csv").read_bytes()}


def assert_equal(ended: dict, expected: dict) -> None:
    assert ended.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(ended[name], value, err_msg=name)


# What follows the errors must have changed the rate before and after a stop.
SCHEDULES = {
    "steps": lambda: Steps(0.1, (11, 20)),
    "plateau": lambda: Plateau(0.1, patience=1, minimum_improvement=100.0),
    "error gate": lambda: ErrorGate(Steps(0.1, (20,)), 0.01, error=95.0),
}

SHORT = Intervals(log=5, validate=10, checkpoint=7, steps_per_execution=3, seconds=HOUR)
LONG = Intervals(log=5, validate=10, checkpoint=7, steps_per_execution=50, seconds=HOUR)
ENDS = (1, 4, 5, 7, 10, 13, 14, 15, 18, 20, 21, 24, 25, 28, 30)
"""Of the executions of a run with short ones: the first one is of one iteration, an event ends others early."""
SAVED = (0, 7, 10, 14, 21, 28)
"""Where a crash leaves a checkpoint: every 7 iterations, and at the first validation, the best so far."""


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict]:
    """Of runs that nothing stopped, by their schedules."""
    return {}


@pytest.fixture
def uninterrupted(start, tmp_path, outcomes):
    """Gives the outcome of a schedule's run that nothing stopped, which is made once."""

    def of(schedule: str) -> dict:
        if schedule not in outcomes:
            start(tmp_path / schedule, schedule=SCHEDULES[schedule](), intervals=LONG).run()
            outcomes[schedule] = outcome(tmp_path / schedule, 30)
        return outcomes[schedule]

    return of


STOPS = [
    (stop_at, schedule, action)
    for stop_at in (1, 3, 5, 7, 10, 11, 13, 17, 20, 24, 30)
    for schedule in SCHEDULES
    for action in (press_ctrl_c, ask_to_stop, crash)
]
FEW, REST = STOPS[::4], [stop for index, stop in enumerate(STOPS) if index % 4]
"""Every fourth: each iteration at least twice, and each schedule with each action."""


@pytest.mark.parametrize(("stop_at", "schedule", "action"), [*FEW, *slow(REST)])
def test_a_run_stopped_anywhere_comes_to_the_same_bits(start, tmp_path, uninterrupted, schedule, action, stop_at):
    with pytest.raises((Stopped, CrashError)):
        start(schedule=SCHEDULES[schedule](), intervals=SHORT, callbacks=[At(stop_at, action)]).run()
    resumed = start(schedule=SCHEDULES[schedule](), intervals=LONG)
    resumed.restore()
    reached = next(end for end in ENDS if end >= stop_at)
    assert resumed.state.iteration == (max(x for x in SAVED if x < reached) if action is crash else reached)
    resumed.run()
    assert_equal(outcome(tmp_path / "run", 30), uninterrupted(schedule))


def test_the_schedules_above_change_the_rate(uninterrupted):
    """Otherwise the test above would not miss their states."""
    for name, rates in {"plateau": [0.1, 0.01], "error gate": [0.01, 0.1, 0.01]}.items():
        rows = uninterrupted(name)["history.csv"].decode().splitlines()[1:]
        changes = [rate for rate, _ in itertools.groupby(float(row.split(",")[1]) for row in rows)]
        assert changes == pytest.approx(rates)


def test_a_network_comes_to_the_same_bits(start, tmp_path, on_tensorflow):
    """With all that a training has: an average, a scaled loss, parts of an iteration."""
    options = {"accumulation": 2, "ema_momentum": 0.9, "scale_loss": True}
    start(tmp_path / "whole", on_tensorflow(**options), intervals=LONG).run()
    with pytest.raises(CrashError):
        start(backend=on_tensorflow(**options), intervals=SHORT, callbacks=[At(17, crash)]).run()
    resumed = start(backend=on_tensorflow(**options), intervals=LONG)
    assert resumed.restore() == []
    assert resumed.state.iteration == 14
    resumed.run()
    assert_equal(outcome(tmp_path / "run", 30), outcome(tmp_path / "whole", 30))
    assert {"model/predictions/kernel", "optimizer/SGD/iteration", "average/bn/gamma", "loss_scale/scale"} < outcome(
        tmp_path / "run", 30
    ).keys()


@pytest.mark.slow
def test_a_residual_network_comes_to_the_same_bits(start, tmp_path, on_tensorflow, residual):
    start(tmp_path / "whole", on_tensorflow(residual)).run()
    with pytest.raises(Stopped):
        start(backend=on_tensorflow(residual), callbacks=[At(16, press_ctrl_c)]).run()
    resumed = start(backend=on_tensorflow(residual))
    resumed.restore()
    resumed.run()
    assert_equal(outcome(tmp_path / "run", 30), outcome(tmp_path / "whole", 30))


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"accumulation": 2, "ema_momentum": 0.9, "scale_loss": True}])
def test_a_run_on_two_devices_comes_to_the_same_bits(start, tmp_path, on_tensorflow, two_devices, options):
    """The devices have statistics of their own, and the checkpoint keeps all of them."""

    def started(directory: Path, **changes):
        backend = on_tensorflow(strategy=two_devices, **options)
        return start(directory, backend, intervals=SHORT, **changes)

    started(tmp_path / "whole").run()
    with pytest.raises(Stopped):
        started(tmp_path / "run", callbacks=[At(16, ask_to_stop)]).run()
    apart = outcome(tmp_path / "run", 18)["model/bn/moving_mean"]
    assert apart.shape == (2, 64) and (apart[0] != apart[1]).any()
    resumed = started(tmp_path / "run")
    assert resumed.restore() == []
    resumed.run()
    assert_equal(outcome(tmp_path / "run", 30), outcome(tmp_path / "whole", 30))


@pytest.mark.slow
def test_other_devices_continue_with_the_mean_statistics_and_say_so(start, tmp_path, on_tensorflow, two_devices):
    with pytest.raises(Stopped):
        start(backend=on_tensorflow(strategy=two_devices), callbacks=[At(13, press_ctrl_c)]).run()
    resumed = start(backend=on_tensorflow())
    assert resumed.restore() == ["the number of replicas was 2 and is 1: a result as good, but not the same bits"]
    saved = outcome(tmp_path / "run", resumed.state.iteration)
    for name, value in resumed.backend.read().items():
        expected = saved[name].mean(axis=0, keepdims=True) if "moving" in name else saved[name]
        np.testing.assert_allclose(value, expected, rtol=1e-6, err_msg=name)
    resumed.run()
    again = start(backend=on_tensorflow(strategy=two_devices), last_iteration=35)
    [message] = again.restore()
    assert "the number of replicas was 1 and is 2" in message
    again.run()
    assert [row.iteration for row in again.history.rows()] == [5, 10, 15, 20, 25, 30, 35]


def test_a_machine_that_has_only_the_checkpoints_comes_to_the_same_bits(start, tmp_path):
    """The record is in the checkpoint."""
    shared = Checkpoints(tmp_path / "shared")
    schedule = SCHEDULES["plateau"]
    with pytest.raises(Stopped):
        start(tmp_path / "one", schedule=schedule(), checkpoints=shared, callbacks=[At(24, ask_to_stop)]).run()
    resumed = start(tmp_path / "other", schedule=schedule(), checkpoints=Checkpoints(tmp_path / "shared"))
    resumed.restore()
    assert list((tmp_path / "other").iterdir()) == []
    resumed.run()
    start(tmp_path / "whole", schedule=schedule()).run()
    assert (tmp_path / "other" / "history.csv").read_bytes() == (tmp_path / "whole" / "history.csv").read_bytes()


def test_a_record_without_a_checkpoint_begins_anew(start, tmp_path):
    with pytest.raises(CrashError):
        start(intervals=SHORT, callbacks=[At(7, crash)]).run()
    record = tmp_path / "run" / "history.csv"
    assert len(History(record).rows()) == 1
    resumed = start()
    [message] = resumed.restore()
    assert "starts over" in message
    assert resumed.state.iteration == 0
    resumed.run()
    start(tmp_path / "whole").run()
    assert record.read_bytes() == (tmp_path / "whole" / "history.csv").read_bytes()


def test_a_record_that_nobody_asked_to_continue_is_not_overwritten(start, tmp_path):
    start(last_iteration=5).run()
    before = (tmp_path / "run" / "history.csv").read_bytes()
    with pytest.raises(ValueError, match="`iteration` must be above 5"):
        start().run()
    assert (tmp_path / "run" / "history.csv").read_bytes() == before


def test_after_damage_a_run_comes_to_the_same_bits(start, tmp_path):
    start(tmp_path / "whole").run()
    with pytest.raises(CrashError):
        start(callbacks=[At(24, crash)]).run()
    (tmp_path / "run" / "checkpoints" / "ckpt-21.npz").write_bytes(b"")
    resumed = start()
    [message] = resumed.restore()
    assert "ckpt-21.npz is damaged" in message
    assert resumed.state.iteration == 20
    resumed.run()
    assert_equal(outcome(tmp_path / "run", 30), outcome(tmp_path / "whole", 30))


def test_who_continues_may_refuse_by_what_the_checkpoint_is_about_and_nothing_changes(start, tmp_path):
    with pytest.raises(Stopped):
        start(about={"recipe": [1, "x"]}, callbacks=[At(13, press_ctrl_c)]).run()
    resumed = start()
    record = tmp_path / "run" / "history.csv"
    before = resumed.backend.read(), record.read_bytes()
    told = []

    def refuse(about):
        told.append(about)
        raise ValueError("another recipe")

    with pytest.raises(ValueError, match="another recipe"):
        resumed.restore(refuse)
    assert told == [{"recipe": [1, "x"]}]
    assert resumed.state.iteration == 0
    assert record.read_bytes() == before[1]
    assert_equal(resumed.backend.read(), before[0])


def test_checkpoints_written_meanwhile_are_the_same(start, tmp_path):
    for name, asynchronous in (("whole", False), ("run", True)):
        checkpoints = Checkpoints(tmp_path / name / "checkpoints", asynchronous=asynchronous)
        start(tmp_path / name, checkpoints=checkpoints).run()
    for iteration in (21, 28, 30):
        assert_equal(outcome(tmp_path / "run", iteration), outcome(tmp_path / "whole", iteration))


def test_a_checkpoint_says_where_the_run_was(start, tmp_path):
    with pytest.raises(Stopped):
        start(about={"recipe": {"depth": 8}}, intervals=SHORT, callbacks=[At(13, press_ctrl_c)]).run()
    progress = outcome(tmp_path / "run", 13)["progress"]
    assert progress["about"] == {"recipe": {"depth": 8}}
    assert progress["replicas"] == 1
    assert progress["state"]["iteration"] == 13 and progress["state"]["summed"] == 3
    assert [row[0] for row in progress["history"]] == [5, 10]


def test_a_record_without_a_checkpoint_is_kept_when_its_run_starts_over(tmp_path, start):
    directory = tmp_path / "run"
    training = start(directory, last_iteration=10)
    training.run()
    before = (directory / "history.csv").read_bytes()
    shutil.rmtree(directory / "checkpoints")
    again = start(directory, last_iteration=10)
    [message] = again.restore()
    assert "starts over" in message and "history.csv is kept" in message
    assert not list(directory.glob("history-*.csv")), "restoring changes nothing"
    again.run()
    assert (directory / "history-1.csv").read_bytes() == (directory / "history.csv").read_bytes() == before
