"""The loop: how many iterations run at once, and what happens between two executions."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from fake_backend import FakeBackend
from interruptions import At, press_ctrl_c
from keras_resnet.host.signals import Stopped
from keras_resnet.optimization.schedules import Steps
from keras_resnet.runs.history import History
from keras_resnet.training import checkpoints, trainer
from keras_resnet.training.intervals import Intervals
from keras_resnet.training.trainer import NonFiniteLossError

HOUR = 3600.0  # seconds in which any iterations end, so that a slow machine runs as many at once
ONE_BY_ONE = Intervals(log=5, validate=10, checkpoint=7, steps_per_execution=1)
THREE_AT_ONCE = Intervals(log=5, validate=10, checkpoint=7, steps_per_execution=3, seconds=HOUR)


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


def checkpointed(directory: Path) -> list[int]:
    return sorted(int(path.stem.removeprefix("ckpt-")) for path in (directory / "checkpoints").glob("ckpt-*.npz"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_asks_to_stop_waits_for_the_iterations_and_then_hears_where_the_run_stands(start, tmp_path, number):
    before = signal.getsignal(number)
    training = start(intervals=THREE_AT_ONCE, callbacks=[At(8, lambda: os.kill(os.getpid(), number))])
    with pytest.raises(Stopped, match="stopped after iteration 10") as stopped:
        training.run()
    assert stopped.value.reason is number
    assert checkpointed(tmp_path / "run") == [7, 10]
    assert signal.getsignal(number) is before


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
        start(intervals=THREE_AT_ONCE, callbacks=[At(8, press_twice)]).run()
    assert checkpointed(tmp_path / "run") == [7]


def test_who_asks_to_stop_where_a_checkpoint_was_due_anyway_gets_it_once(start, saves):
    training = start(intervals=THREE_AT_ONCE, callbacks=[At(7, press_ctrl_c)])
    saved = saves(training)
    with pytest.raises(Stopped):
        training.run()
    assert saved == [7]


@pytest.mark.parametrize(("callbacks", "saved"), [([At(8, press_ctrl_c)], [7, 10]), ([], [7, 10, 12])])
def test_a_run_that_ends_has_its_checkpoints_written(start, tmp_path, monkeypatch, callbacks, saved):
    """A process that ends does not wait for the writing."""
    write = checkpoints.write_file
    monkeypatch.setattr(checkpoints, "write_file", lambda *arguments: (time.sleep(0.3), write(*arguments)))
    training = start(
        intervals=THREE_AT_ONCE,
        checkpoints=checkpoints.Checkpoints(tmp_path / "run" / "checkpoints", asynchronous=True),
        callbacks=callbacks,
        last_iteration=12,
    )
    with pytest.raises(Stopped) if callbacks else contextlib.nullcontext():
        training.run()
    assert checkpointed(tmp_path / "run") == saved


def test_a_thread_that_gets_no_signals_can_train(start, tmp_path):
    training = start(last_iteration=5)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(training.run).result()
    assert checkpointed(tmp_path / "run") == [5]


@pytest.fixture
def saves(monkeypatch):
    """Counts the checkpoints of a training: the list of their iterations, which grows."""

    def saves(training) -> list[int]:
        saved, save = [], training.checkpoints.save

        def counted(iteration, *arguments, **options):
            saved.append(iteration)
            return save(iteration, *arguments, **options)

        monkeypatch.setattr(training.checkpoints, "save", counted)
        return saved

    return saves


@pytest.mark.parametrize(
    ("intervals", "last", "errors", "logged", "validated", "saved"),
    [
        (Intervals(5, 10, 7, 4), 23, (50, 60, 70), [5, 10, 15, 20, 23], [10, 20, 23], [7, 10, 14, 21, 23]),
        (Intervals(5, 10, 7, 4), 23, (50, 40, 70), [5, 10, 15, 20, 23], [10, 20, 23], [7, 10, 14, 20, 21, 23]),
        (Intervals(10, 4, 100, 50), 12, (50, 50, 50), [4, 8, 10, 12], [4, 8, 12], [4, 12]),
        (Intervals(100, 100, 100, 3), 7, (50,), [7], [7], [7]),
        (Intervals(100, 100, 100, 3), 1, (50,), [1], [1], [1]),
    ],
)
def test_rows_validations_and_checkpoints_come_when_promised_and_at_the_end(
    start, tmp_path, saves, intervals, last, errors, logged, validated, saved
):
    """A checkpoint also comes where a validation is better than all before."""
    training = start(intervals=intervals, last_iteration=last, errors=errors)
    counted = saves(training)
    training.run()
    rows = History(tmp_path / "run" / "history.csv").rows()
    assert [row.iteration for row in rows] == logged
    assert [row.iteration for row in rows if row.validation_error is not None] == validated
    assert counted == saved
    assert [row.learning_rate for row in rows] == [float(training.schedule(iteration - 1)) for iteration in logged]


def test_the_checkpoint_of_the_best_validation_is_kept(start, tmp_path):
    training = start(intervals=Intervals(5, 10, 4, 50), errors=(50.0, 60.0, 50.0))
    training.run()
    assert checkpointed(tmp_path / "run") == [10, 24, 28, 30]
    assert (training.state.best_iteration, training.state.best_error) == (10, 50.0)


@pytest.mark.parametrize(
    ("errors", "best"), [((50.0, 60.0, 55.0), 10), ((60.0, 50.0, 55.0), 20), ((60.0, 55.0, 50.0), 30)]
)
def test_the_best_is_taken_to_the_bit(start, tmp_path, errors, best):
    training = start(intervals=Intervals(5, 10, 50, 4), errors=errors)
    training.run()
    last = training.backend.read()
    assert training.take_best() == best
    expected = start(tmp_path / "shorter", intervals=Intervals(5, 10, 50, 4), last_iteration=best, errors=errors)
    expected.run()
    for name, value in expected.backend.read().items():
        np.testing.assert_array_equal(training.backend.read()[name], value, err_msg=name)
    changed = any((training.backend.read()[name] != value).any() for name, value in last.items())
    assert changed == (best < 30)
    assert training.state.iteration == 30


@pytest.mark.parametrize("spoil", [Path.unlink, lambda file: file.write_bytes(b"")])
def test_the_last_stays_where_the_best_is_gone(start, tmp_path, spoil):
    training = start(intervals=Intervals(5, 10, 50, 4), errors=(50.0, 60.0, 55.0))
    training.run()
    last = training.backend.read()
    spoil(tmp_path / "run" / "checkpoints" / "ckpt-10.npz")
    assert training.take_best() == 30
    for name, value in last.items():
        np.testing.assert_array_equal(training.backend.read()[name], value, err_msg=name)


def test_a_row_is_the_mean_over_the_iterations_since_the_row_before(start):
    told = Told()
    training = start(intervals=ONE_BY_ONE, callbacks=[told], last_iteration=12)
    training.run()
    assert [iteration for iteration, _ in told.batches] == list(range(12))
    measured = [(logs["loss"], logs["error"]) for _, logs in told.batches]
    for row, part in zip(training.history.rows(), (slice(0, 5), slice(5, 10), slice(10, 12)), strict=True):
        assert (row.loss, row.training_error) == pytest.approx(np.mean(measured[part], axis=0))


def test_validation_measures_the_weights_of_that_moment(start, digits, on_tensorflow):
    training = start(backend=on_tensorflow(), last_iteration=10)
    training.run()
    images, labels = digits.validation.images[:50], digits.validation.labels[:50]
    misclassified = training.backend.network.predict(images, verbose=0).argmax(-1) != labels
    assert training.history.rows()[-1].validation_error == 100 * misclassified.mean()


def test_keras_callbacks_are_told_what_was_promised(start):
    told = Told()
    training = start(intervals=THREE_AT_ONCE, callbacks=[told], last_iteration=23)
    assert training.callbacks.callbacks[-1].model is training.backend.network
    training.run()
    assert told.trainings == ["begins", "ends"]
    assert [iteration for iteration, _ in told.batches] == [0, 3, 4, 6, 9, 12, 13, 14, 17, 19, 20, 22]
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
    training = start(callbacks=[stopping], errors=(50.0, 60.0, 40.0))
    training.run()
    assert [row.validation_error for row in training.history.rows() if row.validation_error] == [50.0, 60.0]
    assert training.state.iteration == 20
    assert checkpointed(tmp_path / "run") == [10, 14, 20]


def test_a_callback_that_stops_the_run_gets_a_row_a_validation_and_a_checkpoint(start, tmp_path):
    stop = At(8, lambda: setattr(stop.model, "stop_training", True))
    training = start(intervals=THREE_AT_ONCE, callbacks=[stop])
    training.run()
    rows = training.history.rows()
    assert [row.iteration for row in rows] == [5, 10]
    assert rows[-1].validation_error is not None
    assert checkpointed(tmp_path / "run") == [7, 10]


@pytest.mark.parametrize(
    ("factor", "intervals", "told"),
    [
        # 0.1 until iteration 8, then a rate that ends every network.
        (1e35, Intervals(100, 100, 4, 50), r"the loss of iteration 9 is (nan|inf)\. .* checkpoint is .*ckpt-8\.npz"),
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
    assert all(np.isfinite(values).all() for values in again.backend.read().values())


def test_weights_that_exploded_are_not_saved_even_if_no_loss_has_shown_it(start, tmp_path):
    """The loss of an iteration is that before its update."""
    backend = FakeBackend()
    explode = At(9, lambda: backend.weights.fill(np.inf))
    training = start(backend=backend, callbacks=[explode], intervals=Intervals(100, 100, 1, 50))
    told = r"the weights after iteration 8 are not all finite\. The last good checkpoint is .*ckpt-8\.npz"
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


@pytest.fixture
def timed(start, monkeypatch):
    """A training whose executions take the seconds that are said, and the list of their lengths, which grows."""
    now = [0.0]
    monkeypatch.setattr(trainer.time, "perf_counter", lambda: now[0])

    def timed(seconds, **options):
        """Seconds of an execution by its length."""
        calls = []

        class TimedBackend(FakeBackend):
            def start(self, first_iteration, *, steps_per_execution):
                def train(rates):
                    calls.append(len(rates))
                    now[0] += seconds(len(rates))
                    return np.zeros(len(rates), "float32"), np.zeros(len(rates), "int64")

                return train

            def evaluate(self, split):
                now[0] += 1000
                return super().evaluate(split)

        return start(backend=TimedBackend(), **options), calls

    return timed


def test_the_speed_leaves_out_the_first_execution_and_everything_between_two(timed):
    seconds = iter([100.0, 2.0, 1.0, 0.5, 0.5])
    training, calls = timed(lambda count: next(seconds), intervals=Intervals(100, 11, 100, 10, HOUR), last_iteration=26)
    assert training.images_per_second is None
    training.run()
    assert calls == [1, 10, 10, 1, 4]
    # 10 iterations of 16 images in 2 and in 1 seconds, and 5 in 1 second; the first execution is not counted.
    assert training.images_per_second == 25 * 16 / 4


def test_the_speed_of_a_single_execution_is_unknown(start):
    training = start(intervals=Intervals(100, 100, 100, 50), last_iteration=1)
    training.run()
    assert training.images_per_second is None


def test_an_execution_is_as_long_as_its_seconds_allow(timed):
    """Nothing interrupts an execution, and the first one, which traces, says little about the others."""
    training, calls = timed(
        lambda count: 2.0 * count + (99.0 if len(calls) == 1 else 0.0),
        intervals=Intervals(1000, 1000, 1000, 50, seconds=10),
        last_iteration=30,
    )
    training.run()
    assert calls == [1, 1, 5, 5, 5, 5, 5, 3]


def test_executions_become_longer_and_shorter_with_the_speed_and_never_longer_than_said(timed):
    done = []

    def seconds(count):
        done.append(count)
        return count * (0.001 if sum(done) < 100 else 3.0)

    training, calls = timed(seconds, intervals=Intervals(1000, 1000, 1000, 50, seconds=10), last_iteration=110)
    training.run()
    assert calls == [1, 50, 50, 3, 3, 3]


@pytest.mark.parametrize("checkpoint", [5, 10, 1000])
def test_the_best_validation_is_noted_whether_or_not_a_checkpoint_is_due_there(start, checkpoint):
    training = start(intervals=Intervals(5, 10, checkpoint, 50), errors=(50.0, 40.0, 60.0))
    training.run()
    assert (training.state.best_iteration, training.state.best_error) == (20, 40.0)
