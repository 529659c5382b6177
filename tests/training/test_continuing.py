"""A run that was stopped anywhere comes to the same bits as one that was not."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from interruptions import At, press_ctrl_c
from keras_resnet.host.signals import Stopped
from keras_resnet.optimization.schedules import ErrorGate, Plateau, Steps
from keras_resnet.runs.history import History
from keras_resnet.training.checkpoints import Checkpoints
from keras_resnet.training.trainer import Intervals
from tiers import slow

HOUR = 3600.0  # seconds in which any call ends, so that a slow machine has calls of the same length


class CrashError(Exception):
    pass


def crash():
    raise CrashError


def ask_to_stop():
    os.kill(os.getpid(), signal.SIGTERM)


def outcome(directory: Path, iteration: int) -> dict:
    """What a run leaves: the record, and everything in the checkpoint of an iteration."""
    checkpoint = tf.train.load_checkpoint(str(directory / "checkpoints" / f"ckpt-{iteration}"))
    values = {name: checkpoint.get_tensor(name) for name in checkpoint.get_variable_to_shape_map()}
    assert {"model/predictions/kernel", "optimizer/SGD/iteration", "progress"} < values.keys()
    return values | {"history.csv": (directory / "history.csv").read_bytes()}


def assert_equal(ended: dict, expected: dict) -> None:
    assert ended.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(ended[name], value, err_msg=name)


# What follows the errors must have changed the rate before and after each stop below.
SCHEDULES = {
    "steps": lambda: Steps(0.1, (11, 20)),
    "plateau": lambda: Plateau(0.1, patience=1, minimum_improvement=100.0),
    "error gate": lambda: ErrorGate(Steps(0.1, (20,)), 0.01, error=95.0),
}

SHORT_CALLS = Intervals(log=5, validate=10, checkpoint=7, call=3, seconds=HOUR)
LONG_CALLS = Intervals(log=5, validate=10, checkpoint=7, call=50, seconds=HOUR)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict]:
    """Of runs that nothing stopped, by their schedules."""
    return {}


@pytest.fixture
def uninterrupted(start, tmp_path, outcomes):
    """Gives the outcome of a schedule's run that nothing stopped, which is made once."""

    def of(schedule: str) -> dict:
        if schedule not in outcomes:
            start(tmp_path / schedule, schedule=SCHEDULES[schedule](), intervals=LONG_CALLS).run()
            outcomes[schedule] = outcome(tmp_path / schedule, 30)
        return outcomes[schedule]

    return of


@pytest.mark.parametrize(
    ("schedule", "action", "stop_at", "resumed_at"),
    [
        ("steps", ask_to_stop, 3, 4),  # then a call ends at each event and after three
        ("steps", crash, 17, 14),  # a row of history.csv is to be written again
        ("plateau", crash, 24, 21),
        ("error gate", crash, 10, 7),
        *slow(
            [
                ("steps", press_ctrl_c, 1, 1),  # the first call is of one iteration
                ("steps", press_ctrl_c, 7, 7),  # where a checkpoint is due anyway
                ("steps", press_ctrl_c, 30, 30),  # at the end
                ("steps", crash, 4, 0),  # before the first checkpoint
                ("steps", crash, 13, 10),  # the first validation was the best so far
                ("plateau", ask_to_stop, 11, 13),
                ("error gate", press_ctrl_c, 24, 24),
            ]
        ),
    ],
)
def test_a_run_stopped_anywhere_comes_to_the_same_bits(
    start, tmp_path, uninterrupted, schedule, action, stop_at, resumed_at
):
    with pytest.raises((Stopped, CrashError)):
        start(schedule=SCHEDULES[schedule](), intervals=SHORT_CALLS, callbacks=[At(stop_at, action)]).run()
    resumed = start(schedule=SCHEDULES[schedule](), intervals=LONG_CALLS)
    assert resumed.restore() == []
    assert resumed.state.iteration == resumed_at
    resumed.run()
    assert_equal(outcome(tmp_path / "run", 30), uninterrupted(schedule))


def test_the_schedules_above_change_the_rate(uninterrupted):
    """Otherwise the test above would not miss their states."""
    for name, rates in {"plateau": [0.1, 0.01], "error gate": [0.01, 0.1, 0.01]}.items():
        rows = uninterrupted(name)["history.csv"].decode().splitlines()[1:]
        changes = [rate for rate, _ in itertools.groupby(float(row.split(",")[1]) for row in rows)]
        assert changes == pytest.approx(rates)


@pytest.mark.slow
def test_a_residual_network_comes_to_the_same_bits(start, tmp_path, residual):
    start(tmp_path / "whole", residual).run()
    with pytest.raises(Stopped):
        start(network=residual, callbacks=[At(16, press_ctrl_c)]).run()
    resumed = start(network=residual)
    resumed.restore()
    resumed.run()
    assert_equal(outcome(tmp_path / "run", 30), outcome(tmp_path / "whole", 30))


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"accumulation": 2, "options": {"ema_momentum": 0.9, "loss_scale": True}}])
def test_a_run_on_two_devices_comes_to_the_same_bits(start, tmp_path, two_devices, options):
    """The devices have statistics of their own, and the checkpoint keeps all of them."""
    common = {"strategy": two_devices, "intervals": SHORT_CALLS, **options}
    start(tmp_path / "whole", **common).run()
    with pytest.raises(Stopped):
        start(callbacks=[At(16, ask_to_stop)], **common).run()
    apart = outcome(tmp_path / "run", 18)["model/bn/moving_mean"]
    assert apart.shape == (2, 64) and (apart[0] != apart[1]).any()
    resumed = start(**common)
    assert resumed.restore() == []
    resumed.run()
    assert_equal(outcome(tmp_path / "run", 30), outcome(tmp_path / "whole", 30))


@pytest.mark.slow
def test_other_devices_continue_with_the_mean_statistics_and_say_so(start, tmp_path, two_devices):
    with pytest.raises(Stopped):
        start(strategy=two_devices, callbacks=[At(13, press_ctrl_c)]).run()
    resumed = start()
    assert resumed.restore() == ["the number of replicas was 2 and is 1: a result as good, but not the same bits"]
    saved = outcome(tmp_path / "run", resumed.state.iteration)
    for name, value in resumed.variables.read().items():
        expected = saved[name].mean(axis=0, keepdims=True) if "moving" in name else saved[name]
        np.testing.assert_allclose(value, expected, rtol=1e-6, err_msg=name)
    resumed.run()
    again = start(strategy=two_devices, last_iteration=35)
    [message] = again.restore()
    assert "the number of replicas was 1 and is 2" in message
    again.run()
    assert [row.iteration for row in again.history.rows()] == [5, 10, 15, 20, 25, 30, 35]


@pytest.mark.slow
def test_a_machine_that_has_only_the_checkpoints_comes_to_the_same_bits(start, tmp_path):
    """The record is in the checkpoint."""
    shared = Checkpoints(tmp_path / "shared")
    with pytest.raises(Stopped):
        start(
            tmp_path / "one", schedule=SCHEDULES["plateau"](), checkpoints=shared, callbacks=[At(24, ask_to_stop)]
        ).run()
    resumed = start(tmp_path / "other", schedule=SCHEDULES["plateau"](), checkpoints=Checkpoints(tmp_path / "shared"))
    resumed.restore()
    assert list((tmp_path / "other").iterdir()) == []
    resumed.run()
    start(tmp_path / "whole", schedule=SCHEDULES["plateau"]()).run()
    assert (tmp_path / "other" / "history.csv").read_bytes() == (tmp_path / "whole" / "history.csv").read_bytes()


@pytest.mark.slow
def test_a_record_without_a_checkpoint_begins_anew(start, tmp_path):
    with pytest.raises(CrashError):
        start(intervals=SHORT_CALLS, callbacks=[At(7, crash)]).run()
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


@pytest.mark.slow
def test_after_damage_a_run_comes_to_the_same_bits(start, tmp_path):
    start(tmp_path / "whole").run()
    with pytest.raises(CrashError):
        start(callbacks=[At(24, crash)]).run()
    (tmp_path / "run" / "checkpoints" / "ckpt-21.data-00000-of-00001").write_bytes(b"")
    resumed = start()
    [message] = resumed.restore()
    assert "ckpt-21 is damaged" in message
    assert resumed.state.iteration == 20
    resumed.run()
    assert_equal(outcome(tmp_path / "run", 30), outcome(tmp_path / "whole", 30))


def test_who_continues_may_refuse_by_what_the_checkpoint_is_about_and_nothing_changes(start, tmp_path):
    with pytest.raises(Stopped):
        start(about={"recipe": [1, "x"]}, callbacks=[At(13, press_ctrl_c)]).run()
    resumed = start()
    record = tmp_path / "run" / "history.csv"
    before = resumed.variables.read(), record.read_bytes()
    told = []

    def refuse(about):
        told.append(about)
        raise ValueError("another recipe")

    with pytest.raises(ValueError, match="another recipe"):
        resumed.restore(refuse)
    assert told == [{"recipe": [1, "x"]}]
    assert resumed.state.iteration == 0
    assert record.read_bytes() == before[1]
    assert_equal(resumed.variables.read(), before[0])


@pytest.mark.slow
def test_checkpoints_written_meanwhile_are_the_same(start, tmp_path):
    for name, asynchronous in (("whole", False), ("run", True)):
        checkpoints = Checkpoints(tmp_path / name / "checkpoints", asynchronous=asynchronous)
        start(tmp_path / name, checkpoints=checkpoints).run()
    for iteration in (21, 28, 30):
        assert_equal(outcome(tmp_path / "run", iteration), outcome(tmp_path / "whole", iteration))


def test_a_checkpoint_says_where_the_run_was(start, tmp_path):
    with pytest.raises(Stopped):
        start(about={"recipe": {"depth": 8}}, intervals=SHORT_CALLS, callbacks=[At(13, press_ctrl_c)]).run()
    progress = json.loads(outcome(tmp_path / "run", 13)["progress"])
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
