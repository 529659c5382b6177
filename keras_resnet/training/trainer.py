"""The training loop: calls of many iterations, and what is due between two of them."""

from __future__ import annotations

import contextlib
import io
import math
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass
from typing import Any, NoReturn

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.evaluation.error_rates import ErrorRates
from keras_resnet.host.signals import Stopped, noting_signals
from keras_resnet.optimization.schedules import Schedule
from keras_resnet.runs.history import History, Row
from keras_resnet.training import restoring
from keras_resnet.training.checkpoints import Checkpoints
from keras_resnet.training.progress import Progress
from keras_resnet.training.state import State
from keras_resnet.training.tensorflow import strategies
from keras_resnet.training.tensorflow.multi_step import iterations
from keras_resnet.training.tensorflow.replica import Replica
from keras_resnet.training.tensorflow.variables import Variables


class NonFiniteLossError(ArithmeticError):
    """The loss or a weight became infinite or not a number; no checkpoint was written after that."""


@dataclass(frozen=True)
class Intervals:
    """Iterations between two events of a kind; an event is due when the iterations done are a multiple."""

    log: int = 100
    validate: int = 1000
    checkpoint: int = 1000
    call: int = 50
    """The most iterations in one call; an event ends a call early."""
    seconds: float = 10.0
    """What a call should last at most, as nothing stops it, neither Ctrl-C nor a scheduler."""

    def until_next(self, iteration: int, last_iteration: int, seconds: float = 0.0) -> int:
        """Iterations that a call may run from here, with so many seconds for one: of infinitely many, one."""
        events = (every - iteration % every for every in (self.log, self.validate, self.checkpoint))
        fitting = 1 if math.isinf(seconds) else self.seconds / max(seconds, 1e-9)
        return min(self.call, max(1, int(min(fitting, self.call))), last_iteration - iteration, *events)


class Training:
    """A training run: iterations, the record of them, validation, checkpoints.

    With several processes, each runs all of this at the same time; the chief alone has a history and checkpoints.

    Args:
        replica: What every device does.
        schedule: Learning rate of each iteration; it is told the errors.
        batches: Function from the first iteration to an endless data set of (images, labels) for every replica.
        validate: Measures the model.
        strategy: The devices.
        last_iteration: When to stop.
        intervals: When to log, to validate, and to write a checkpoint.
        accumulation: Batches in an iteration.
        history: File of the record, opened when training begins; None but for the chief.
        checkpoints: Where the run can be continued; None but for the chief.
        about: Kept in every checkpoint, for whoever continues; fit for JSON.
        logs: Directory for TensorBoard; None for no such logs.
        callbacks: Keras callbacks. `on_train_batch_end` follows each call, with "loss" and "error"; `on_epoch_end`
            follows each validation, with "val_loss" and "val_error" as well; `model.stop_training` ends the run.
    """

    def __init__(
        self,
        replica: Replica,
        schedule: Schedule,
        batches: Callable[[int], Iterable],
        validate: Callable[[], ErrorRates],
        *,
        strategy: tf.distribute.Strategy,
        last_iteration: int,
        intervals: Intervals,
        accumulation: int = 1,
        history: str | os.PathLike | None,
        checkpoints: Checkpoints | None,
        about: dict[str, Any] | None = None,
        logs: str | None = None,
        callbacks: Iterable[keras.callbacks.Callback] = (),
    ):
        self.replica = replica
        self.model = replica.model
        self.schedule = schedule
        self.batches = batches
        self.validate = validate
        self.strategy = strategy
        self.global_batch_size = replica.global_batch_size
        self.last_iteration = last_iteration
        self.intervals = intervals
        self.history: History | None = None
        self._history_path = history
        self._rows: list[Row] | None = None
        self.checkpoints = checkpoints
        self.about = about or {}
        self.variables = Variables(strategy, replica.variables)
        self.writer = tf.summary.create_noop_writer()
        self._logs = logs
        self.callbacks = keras.callbacks.CallbackList(list(callbacks), model=self.model)
        self.iterate: Callable[[Iterator, np.ndarray], tuple] = iterations(
            replica, strategy=strategy, accumulation=accumulation, most=intervals.call
        )
        """What runs the iterations of a call: another one with `jax_iterations`."""
        self.state = State()
        self.seconds: list[tuple[int, float]] = []
        """(iterations, seconds) of each call, without what is done between calls."""

    def restore(self, accept: Callable[[dict[str, Any]], None] = lambda about: None) -> list[str]:
        """Goes to the latest whole checkpoint, if there is one; changes nothing on the disk.

        Args:
            accept: Given what that checkpoint is about; raises an error to refuse it, before anything is changed.

        Returns:
            A line for each damaged checkpoint, and for what will be different.
        """
        told, messages = restoring.read(self.strategy, self.checkpoints, self.variables.difference)
        if told is None:
            self._rows = []
            if self._history_path is not None and History.has_rows(self._history_path):
                messages.append(
                    f"there is no checkpoint to continue from: it starts over, and {self._history_path} is kept "
                    f"under another name"
                )
            return messages
        values, progress = told
        accept(progress["about"])
        self.variables.write(values)
        self.state = State(**progress["state"])
        self.schedule.restore(self.state.schedule)
        self._rows = [Row(*cells) for cells in progress["history"]]
        if (before := progress["replicas"]) != (now := self.strategy.num_replicas_in_sync):
            messages.append(
                f"the number of replicas was {before} and is {now}: a result as good, but not the same bits"
            )
        return messages

    def run(self) -> None:
        """Trains up to the last iteration.

        Raises:
            Stopped: after Ctrl-C or SIGTERM, once a checkpoint is written. A second one does not wait for it.
            NonFiniteLossError: if the loss or a weight is infinite or not a number; names the iteration and the last
                good checkpoint.
            WorkerLostError: if another process is gone.
            OSError: if a checkpoint cannot be written.
        """
        with restoring.naming_lost_workers(self.strategy):
            self._run()

    def _run(self) -> None:
        progress = Progress(
            self.last_iteration,
            self.global_batch_size,
            first_iteration=self.state.iteration,
            stream=None if self.chief else io.StringIO(),
        )
        self._open_records()
        # One iterator for the whole run: deleting an iterator can stall.
        batches = iter(self.batches(self.state.iteration))
        self.model.stop_training = False
        self.callbacks.on_train_begin()
        pace = math.inf  # the first call traces: it runs one iteration
        with contextlib.closing(progress), noting_signals(progress.message) as signals:
            while self.state.iteration < self.last_iteration and not self.model.stop_training:
                pace = self._call(batches, progress, pace)
                saved = self._events(progress)
                # All processes stop together, and agree on the length of the next call.
                reason, pace = strategies.largest(self.strategy, [max(signals, default=0), pace])
                if reason:
                    # Twice would put a good checkpoint at risk.
                    if not saved:
                        self._save()
                    self._wait_for_checkpoint()
                    raise Stopped(f"stopped after iteration {self.state.iteration}", signal.Signals(int(reason)))
            self._wait_for_checkpoint()
        self.callbacks.on_train_end()

    def _open_records(self) -> None:
        if self._logs:
            self.writer = tf.summary.create_file_writer(self._logs)
        if self._history_path is not None:
            self.history = History(self._history_path)
            if self._rows is not None:  # what came after the checkpoint is going to be written again
                if not self._rows:
                    self.history.keep()
                self.history.replace(self._rows)

    @property
    def chief(self) -> bool:
        """Whether this process is the one that writes."""
        return strategies.is_chief(self.strategy)

    @property
    def images_per_second(self) -> float | None:
        """Over all calls but the first one, which also traces the iterations; None before the second."""
        images = sum(count for count, _ in self.seconds[1:]) * self.global_batch_size
        return images / sum(seconds for _, seconds in self.seconds[1:]) if images else None

    def _call(self, batches: Iterator, progress: Progress, pace: float) -> float:
        """Runs the iterations up to the next event, or as many as seconds allow; returns the seconds for one."""
        first = self.state.iteration
        count = self.intervals.until_next(first, self.last_iteration, pace)
        rates = self.schedule(np.arange(first, first + count))
        start = time.perf_counter()
        losses, wrong = (np.asarray(result) for result in self.iterate(batches, rates))
        self.seconds.append((count, time.perf_counter() - start))
        self._check_finite(losses)
        self.state.add(losses, wrong)
        loss, error = float(losses.mean()), float(100.0 * wrong.mean() / self.global_batch_size)
        self.callbacks.on_train_batch_end(self.state.iteration - 1, {"loss": loss, "error": error})
        progress.update(self.state.iteration, loss=loss, training_error=error)
        return self.seconds[-1][1] / count

    def _check_finite(self, losses: np.ndarray) -> None:
        if self.replica.loss_scale and self.replica.loss_scale.exhausted:
            self._diverged(f"gradients of iteration {self.state.iteration} overflow float16 at any scale of the loss")
        if np.isfinite(losses).all():
            return
        bad = int(np.argmin(np.isfinite(losses)))
        self._diverged(f"the loss of iteration {self.state.iteration + bad} is {losses[bad]}")

    def _diverged(self, what: str) -> NoReturn:
        last = self.checkpoints.latest if self.checkpoints else None
        raise NonFiniteLossError(
            f"{what}. {f'The last good checkpoint is {last}' if last else 'No checkpoint has been written yet'}. "
            "A lower learning rate (--schedule.learning-rate) or a warm-up (--schedule.warmup-iterations) may help"
        )

    def _events(self, progress: Progress) -> bool:
        """Logs, validates and writes a checkpoint, if it is time to; returns whether it wrote one."""
        ends = self.state.iteration == self.last_iteration or self.model.stop_training
        validates, saves, logs = (
            ends or self.state.iteration % every == 0
            for every in (self.intervals.validate, self.intervals.checkpoint, self.intervals.log)
        )
        if logs or validates:
            validation = self._measure() if validates else None
            self._log(progress, validation)
            best = validation is not None and self.state.note_validation(validation.top1_error)
            saves = saves or best
        saves = saves or self.model.stop_training  # a callback may have just decided so
        if saves:
            self._save()
        progress.pause_ended()
        return saves

    def _measure(self) -> ErrorRates:
        with self.replica.measured():
            return self.validate()

    def _log(self, progress: Progress, validation: ErrorRates | None) -> None:
        iteration = self.state.iteration
        rate = float(self.schedule(iteration - 1))
        loss, error = self.state.take_means(self.global_batch_size)
        measured = (validation.loss, validation.top1_error) if validation else (None, None)
        row = Row(iteration, rate, loss, error, *measured)
        if self.history:
            self.history.append(row)
        self._write_summaries(row)
        if validation:
            progress.message(
                f"iteration {iteration}: training error {error:.2f}%, validation error {validation.top1_error:.2f}%, "
                f"validation loss {validation.loss:.4f}"
            )
            logs = {"loss": loss, "error": error, "val_loss": validation.loss, "val_error": validation.top1_error}
            self.callbacks.on_epoch_end((iteration - 1) // self.intervals.validate, logs)
        if change := self.schedule.observe(iteration, training_error=error, validation_error=measured[1]):
            progress.message(change)

    def _write_summaries(self, row: Row) -> None:
        measured = {name: value for name, value in vars(row).items() if name != "iteration" and value is not None}
        if speed := self.images_per_second:
            measured["images_per_second"] = speed
        try:
            with self.writer.as_default(step=row.iteration):
                for name, value in measured.items():
                    tf.summary.scalar(name, value)
        except tf.errors.OpError as error:
            raise OSError(
                f"TensorBoard's logs cannot be written: {str(error.message).partition(chr(10))[0]}"
            ) from error

    def _save(self) -> None:
        values = self.variables.read()
        # The loss of an iteration is that before its update: it says nothing about the weights that are saved.
        if not all(np.isfinite(value).all() for name, value in values.items() if name.startswith("model/")):
            self._diverged(f"the weights after iteration {self.state.iteration - 1} are not all finite")
        self.state.schedule = self.schedule.state
        if self.checkpoints and self.history:
            progress = {
                "state": self.state.to_json(),
                "history": [astuple(row) for row in self.history.rows()],
                "replicas": self.strategy.num_replicas_in_sync,
                "about": self.about,
            }
            self.checkpoints.save(self.state.iteration, values, progress, best=self.state.best_iteration)

    def _wait_for_checkpoint(self) -> None:
        if self.checkpoints:
            self.checkpoints.wait()
