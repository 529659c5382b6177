"""The loop: what happens between calls, and that a run stopped anywhere comes to the same end."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.evaluation.errors import Errors
from keras_resnet.schedules import ErrorGate, Plateau, Steps
from keras_resnet.training import loop
from keras_resnet.training.history import History
from keras_resnet.training.loop import Interrupted, Intervals, NonFiniteLossError

SAVES = "save_counter/.ATTRIBUTES/VARIABLE_VALUE"
CALL_BY_CALL = Intervals(log=5, validate=10, checkpoint=7, call=1)


class At(keras.callbacks.Callback):
    """Does something after the first call that ends at an iteration or after it."""

    def __init__(self, iteration: int, action):
        super().__init__()
        self.iteration, self.action = iteration, action

    def on_train_batch_end(self, batch, logs=None):
        if self.action and batch + 1 >= self.iteration:
            action, self.action = self.action, None
            action()


class Told(keras.callbacks.Callback):
    """Keeps everything that it is told."""

    def __init__(self):
        super().__init__()
        self.batches, self.epochs, self.trainings = [], [], []

    def on_train_begin(self, logs=None):
        self.trainings.append("begins")

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append((batch, logs))

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append((epoch, logs))

    def on_train_end(self, logs=None):
        self.trainings.append("ends")


class CrashError(Exception):
    pass


def crash():
    raise CrashError


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def outcome(directory: Path, iteration: int) -> dict:
    """What a run leaves: the record, and every value in the checkpoint of an iteration."""
    checkpoint = tf.train.load_checkpoint(str(directory / "checkpoints" / f"ckpt-{iteration}"))
    # How often a run was saved, and where its variables lay in memory, are no results.
    names = checkpoint.get_variable_to_shape_map().keys() - {SAVES, "_CHECKPOINTABLE_OBJECT_GRAPH"}
    values = {name: checkpoint.get_tensor(name) for name in names}
    return values | {"history.csv": (directory / "history.csv").read_bytes()}


def assert_equal(ended: dict, expected: dict) -> None:
    assert ended.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(ended[name], value, err_msg=name)


def checkpointed(directory: Path) -> list[int]:
    return sorted(int(path.stem.removeprefix("ckpt-")) for path in (directory / "checkpoints").glob("*.index"))


def constant_errors(*top1: float):
    """A validation that measures these errors, one after the other."""
    errors = iter(top1)
    return lambda: Errors(100, 1.0, next(errors), 0.0)


# What follows the errors must have changed the rate before and after each stop below.
SCHEDULES = {
    "steps": lambda: Steps(0.1, (11, 20)),
    "plateau": lambda: Plateau(0.1, patience=1, minimum_improvement=100.0),
    "error gate": lambda: ErrorGate(Steps(0.1, (20,)), 0.01, error=95.0),
}


LONG_CALLS = Intervals(log=5, validate=10, checkpoint=7, call=50)


@pytest.fixture(scope="module")
def uninterrupted() -> dict[str, dict]:
    """The outcomes of runs that nothing stopped, each made once."""
    return {}


@pytest.mark.parametrize(
    ("schedule", "action", "stop_at", "resumed_at"),
    [
        ("steps", press_ctrl_c, 4, 5),  # a call ends at each event and after three iterations
        ("steps", press_ctrl_c, 7, 7),  # where a checkpoint is due anyway
        ("steps", press_ctrl_c, 30, 30),  # at the end
        ("steps", crash, 3, 0),  # before the first checkpoint
        ("steps", crash, 13, 7),  # a row of history.csv is to be written again
        ("plateau", press_ctrl_c, 11, 13),
        ("plateau", crash, 24, 21),
        ("error gate", press_ctrl_c, 24, 24),
        ("error gate", crash, 11, 7),
    ],
)
def test_a_run_stopped_anywhere_comes_to_the_same_bits(
    start, tmp_path, uninterrupted, schedule, action, stop_at, resumed_at
):
    if schedule not in uninterrupted:
        start(tmp_path / "whole", schedule=SCHEDULES[schedule](), intervals=LONG_CALLS).run()
        uninterrupted[schedule] = outcome(tmp_path / "whole", 30)
    with pytest.raises((Interrupted, CrashError)):
        start(schedule=SCHEDULES[schedule](), callbacks=[At(stop_at, action)]).run()
    resumed = start(schedule=SCHEDULES[schedule](), intervals=LONG_CALLS)
    assert resumed.restore() == []
    assert resumed.state.iteration == resumed_at
    resumed.run()
    assert_equal(outcome(tmp_path / "run", 30), uninterrupted[schedule])


def test_the_schedules_above_change_the_rate(start, uninterrupted):
    """Otherwise the test above would not miss their states."""
    for name, rates in {"plateau": [0.1, 0.01], "error gate": [0.01, 0.1, 0.01]}.items():
        rows = uninterrupted[name]["history.csv"].decode().splitlines()[1:]
        changes = [rate for rate, _ in itertools.groupby(float(row.split(",")[1]) for row in rows)]
        assert changes == pytest.approx(rates)


def test_a_residual_network_comes_to_the_same_bits(start, tmp_path, residual):
    start(tmp_path / "whole", residual).run()
    with pytest.raises(Interrupted):
        start(network=residual, callbacks=[At(16, press_ctrl_c)]).run()
    resumed = start(network=residual)
    resumed.restore()
    resumed.run()
    assert_equal(outcome(tmp_path / "run", 30), outcome(tmp_path / "whole", 30))


def test_a_run_on_two_devices_comes_to_the_same_weights(start, tmp_path, two_devices):
    """A checkpoint keeps the mean of the devices' moving statistics, which may therefore differ in their last bits."""
    start(tmp_path / "whole", strategy=two_devices).run()
    with pytest.raises(Interrupted):
        start(strategy=two_devices, callbacks=[At(16, press_ctrl_c)]).run()
    resumed = start(strategy=two_devices)
    resumed.restore()
    resumed.run()
    ended, expected = outcome(tmp_path / "run", 30), outcome(tmp_path / "whole", 30)
    for name in [name for name in expected if "moving" in name]:
        np.testing.assert_allclose(ended.pop(name), expected.pop(name), rtol=1e-5)
    records = [np.genfromtxt(each.pop("history.csv").splitlines(), delimiter=",") for each in (ended, expected)]
    np.testing.assert_allclose(*records, rtol=1e-6)
    assert_equal(ended, expected)


def test_after_damage_a_run_comes_to_the_same_bits(start, tmp_path):
    start(tmp_path / "whole").run()
    with pytest.raises(CrashError):
        start(callbacks=[At(24, crash)]).run()
    (tmp_path / "run" / "checkpoints" / "ckpt-21.data-00000-of-00001").write_bytes(b"")
    resumed = start()
    [message] = resumed.restore()
    assert "ckpt-21 is damaged" in message
    assert resumed.state.iteration == 14
    resumed.run()
    assert_equal(outcome(tmp_path / "run", 30), outcome(tmp_path / "whole", 30))


def test_ctrl_c_waits_for_the_call_and_then_says_where_the_run_stands(start, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    training = start(callbacks=[At(8, press_ctrl_c)])
    with pytest.raises(Interrupted, match="stopped after iteration 10"):
        training.run()
    assert checkpointed(tmp_path / "run") == [7, 10]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
def foreground() -> Iterator[None]:
    """Ctrl-C as at a terminal: the tests may run in the background, where the shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_second_ctrl_c_does_not_wait(start, tmp_path, foreground):
    def press_twice():
        press_ctrl_c()
        press_ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        start(callbacks=[At(8, press_twice)]).run()
    assert checkpointed(tmp_path / "run") == [7]


def test_ctrl_c_does_not_write_a_checkpoint_that_was_due_anyway_twice(start, monkeypatch):
    training = start(callbacks=[At(7, press_ctrl_c)])
    saved = []
    monkeypatch.setattr(training.checkpoints, "save", lambda iteration, progress: saved.append(iteration))
    with pytest.raises(Interrupted):
        training.run()
    assert saved == [7]


def test_a_thread_that_gets_no_signals_can_train(start, tmp_path):
    training = start(last_iteration=5)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(training.run).result()
    assert checkpointed(tmp_path / "run") == [5]


@pytest.mark.parametrize(
    ("intervals", "last", "logged", "validated", "saved"),
    [
        (Intervals(5, 10, 7, 4), 23, [5, 10, 15, 20, 23], [10, 20, 23], [14, 21, 23]),
        (Intervals(10, 4, 100, 50), 12, [4, 8, 10, 12], [4, 8, 12], [12]),
        (Intervals(100, 100, 100, 3), 7, [7], [7], [7]),
    ],
)
def test_rows_validations_and_checkpoints_come_when_promised_and_at_the_end(
    start, tmp_path, intervals, last, logged, validated, saved
):
    training = start(intervals=intervals, last_iteration=last)
    training.run()
    rows = History(tmp_path / "run" / "history.csv").rows()
    assert [row.iteration for row in rows] == logged
    assert [row.iteration for row in rows if row.validation_error is not None] == validated
    assert checkpointed(tmp_path / "run") == saved
    assert [row.learning_rate for row in rows] == [float(training.schedule(iteration - 1)) for iteration in logged]


def test_a_row_is_the_mean_over_the_iterations_since_the_row_before(start):
    told = Told()
    training = start(intervals=CALL_BY_CALL, callbacks=[told], last_iteration=12)
    training.run()
    assert [iteration for iteration, _ in told.batches] == list(range(12))
    measured = [(logs["loss"], logs["error"]) for _, logs in told.batches]
    for row, part in zip(training.history.rows(), (slice(0, 5), slice(5, 10), slice(10, 12)), strict=True):
        assert (row.loss, row.training_error) == pytest.approx(np.mean(measured[part], axis=0))


def test_validation_measures_the_weights_of_that_moment(start, digits):
    training = start(last_iteration=10)
    training.run()
    images, labels = digits.validation.images[:50], digits.validation.labels[:50]
    wrong = training.model.predict(images, verbose=0).argmax(-1) != labels
    assert training.history.rows()[-1].validation_error == 100 * wrong.mean()


def test_keras_callbacks_are_told_what_was_promised(start):
    told = Told()
    training = start(callbacks=[told], last_iteration=23)
    assert training.callbacks.callbacks[-1].model is training.model
    training.run()
    assert told.trainings == ["begins", "ends"]
    assert [iteration for iteration, _ in told.batches] == [2, 4, 6, 9, 12, 13, 14, 17, 19, 20, 22]
    assert all(logs.keys() == {"loss", "error"} for _, logs in told.batches)
    rows = [row for row in training.history.rows() if row.validation_error is not None]
    assert told.epochs == [
        (
            epoch,
            {
                "loss": row.loss,
                "error": row.training_error,
                "val_loss": row.validation_loss,
                "val_error": row.validation_error,
            },
        )
        for epoch, row in enumerate(rows)
    ]


def test_a_run_shorter_than_an_epoch_is_its_first_epoch_and_gives_ctrl_c_back(start):
    before = signal.getsignal(signal.SIGINT)
    told = Told()
    start(callbacks=[told], last_iteration=4).run()
    assert [epoch for epoch, _ in told.epochs] == [0]
    assert signal.getsignal(signal.SIGINT) is before


def test_early_stopping_ends_the_run_at_a_validation_and_keeps_it(start, tmp_path):
    stopping = keras.callbacks.EarlyStopping("val_error", patience=1, mode="min", verbose=0)
    validate = constant_errors(50.0, 60.0, 40.0)
    training = start(callbacks=[stopping], validate=validate)
    training.run()
    assert [row.validation_error for row in training.history.rows() if row.validation_error] == [50.0, 60.0]
    assert training.state.iteration == 20
    assert checkpointed(tmp_path / "run") == [7, 14, 20]


def test_a_callback_that_stops_a_call_gets_a_row_a_validation_and_a_checkpoint(start, tmp_path):
    stop = At(8, lambda: setattr(stop.model, "stop_training", True))
    training = start(callbacks=[stop])
    training.run()
    rows = training.history.rows()
    assert [row.iteration for row in rows] == [5, 10]
    assert rows[-1].validation_error is not None
    assert checkpointed(tmp_path / "run") == [7, 10]


@pytest.mark.parametrize(
    ("factor", "intervals", "told"),
    [
        # 0.1 until iteration 8, then a rate that ends every network.
        (1e35, Intervals(100, 100, 4, 50), r"the loss of iteration 9 is (nan|inf)\. .* checkpoint is .*ckpt-8\."),
        (1e35, Intervals(100, 100, 100, 50), r"the loss of iteration 9 is (nan|inf)\. No checkpoint has been written"),
    ],
)
def test_a_loss_that_explodes_stops_the_run_before_a_checkpoint_of_it(start, tmp_path, factor, intervals, told):
    training = start(schedule=Steps(0.1, (8,), factor), intervals=intervals)
    with pytest.raises(NonFiniteLossError, match=told):
        training.run()
    assert checkpointed(tmp_path / "run") == ([4, 8] if intervals.checkpoint == 4 else [])
    again = start(last_iteration=8)
    again.restore()
    again.run()
    assert all(np.isfinite(weights).all() for weights in again.model.get_weights())


def test_weights_that_exploded_are_not_saved_even_if_no_loss_has_shown_it(start, tmp_path):
    """The loss of an iteration is that before its update."""
    explode = At(9, lambda: explode.model.get_layer("predictions").bias.assign([np.inf] * 10))
    training = start(callbacks=[explode], intervals=Intervals(100, 100, 1, 50))
    told = r"the weights after iteration 8 are not all finite\. The last good checkpoint is .*ckpt-8\."
    with pytest.raises(NonFiniteLossError, match=told):
        training.run()
    assert checkpointed(tmp_path / "run") == [6, 7, 8]


def test_tensorboard_gets_every_row_and_the_speed(start, tmp_path):
    training = start(logs=str(tmp_path / "logs"), last_iteration=23)
    training.run()
    [file] = (tmp_path / "logs").iterdir()
    scalars = {}
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        event = tf.compat.v1.Event.FromString(record)
        for value in event.summary.value:
            scalars[value.tag, event.step] = tf.make_ndarray(value.tensor).item()
    rows = {
        (name, row.iteration): np.float32(value)
        for row in training.history.rows()
        for name, value in vars(row).items()
        if name != "iteration" and value is not None
    }
    assert {key: value for key, value in scalars.items() if key[0] != "images_per_second"} == rows
    assert {step for tag, step in scalars if tag == "images_per_second"} == {5, 10, 15, 20, 23}


def test_the_speed_leaves_out_the_first_call_and_everything_between_calls(start, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(loop.time, "perf_counter", lambda: now[0])
    seconds = iter([100.0, 2.0, 1.0, 1.0])

    def iterate(batches, rates):
        now[0] += next(seconds)
        return tf.zeros(rates.shape), tf.zeros(rates.shape, tf.int64)

    def validate():
        now[0] += 1000
        return Errors(100, 1.0, 50.0, 0.0)

    training = start(intervals=Intervals(100, 10, 100, 10), last_iteration=35, validate=validate)
    training.iterate = iterate
    assert training.images_per_second is None
    training.run()
    # 10 iterations of 16 images in 2 and in 1 seconds, and 5 in 1 second.
    assert training.images_per_second == 25 * 16 / 4


def test_the_speed_of_a_single_call_is_unknown(start):
    training = start(intervals=Intervals(100, 100, 100, 50), last_iteration=5)
    training.run()
    assert training.images_per_second is None


@pytest.mark.parametrize("call", [1, 5, 100])
def test_a_call_ends_at_the_first_event_and_no_earlier(call):
    for events in itertools.product((1, 4, 6, 50), repeat=3):
        intervals = Intervals(*events, call)
        for iteration in range(30):
            count = intervals.until_next(iteration, 30)
            inside, end = range(iteration + 1, iteration + count), iteration + count
            assert 0 < count <= call and end <= 30
            assert count == call or end == 30 or any(end % every == 0 for every in events)
            assert not any(between % every == 0 for between in inside for every in events)
