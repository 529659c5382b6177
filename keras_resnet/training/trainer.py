"""The training loop: many iterations at once, and what is due between two executions."""

from __future__ import annotations

import contextlib
import io
import math
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, NoReturn

import keras
import numpy as np

from keras_resnet.evaluation.error_rates import ErrorRates
from keras_resnet.host.signals import Stopped, noting_signals
from keras_resnet.optimization.schedules import Schedule
from keras_resnet.runs.history import History, Row
from keras_resnet.training import restoring
from keras_resnet.training.backend import Backend, MultiStep
from keras_resnet.training.intervals import Intervals
from keras_resnet.training.progress import Progress
from keras_resnet.training.state import State
from keras_resnet.training.summaries import summary_writer

if TYPE_CHECKING:
    from keras_resnet.data.splits import Split
    from keras_resnet.training.checkpoints import Checkpoints


class NonFiniteLossError(ArithmeticError):
    """The loss or a weight became infinite or not a number; no checkpoint was written after that."""


class Trainer:
    """A training: iterations, the record of them, validation, checkpoints.

    With several processes, each runs all of this at the same time; the chief alone has a history and checkpoints.

    Args:
        backend: What computes.
        schedule: Learning rate of each iteration; its `observe` is given the errors.
        validation: The images to validate on.
        last_iteration: When to stop.
        intervals: When to log, to validate, and to write a checkpoint.
        history: File of the record, opened when training begins; None but for the chief.
        checkpoints: Where the run can be continued; None but for the chief.
        about: Kept in every checkpoint, for whoever continues; fit for JSON.
        logs: Directory for TensorBoard; None for no such logs.
        callbacks: Keras callbacks. `on_train_batch_end` follows each execution of several iterations, with "loss" and
            "error"; `on_epoch_end` follows each validation, with "val_loss" and "val_error" as well;
            `model.stop_training` ends the run.
    """

    def __init__(
        self,
        backend: Backend,
        schedule: Schedule,
        validation: Split,
        *,
        last_iteration: int,
        intervals: Intervals,
        history: str | os.PathLike | None,
        checkpoints: Checkpoints | None,
        about: dict[str, Any] | None = None,
        logs: str | None = None,
        callbacks: Iterable[keras.callbacks.Callback] = (),
    ):
        self.backend = backend
        self.processes = backend.processes
        self.schedule = schedule
        self.validation = validation
        self.last_iteration = last_iteration
        self.intervals = intervals
        self.history: History | None = None
        self._history_path = history
        self._rows: list[Row] | None = None
        self.checkpoints = checkpoints
        self.about = about or {}
        self._logs = logs
        self._write_summary: Callable[[int, Mapping[str, float]], None] = lambda iteration, values: None
        self.callbacks = keras.callbacks.CallbackList(list(callbacks), model=backend.network)
        self.state = State()
        self.seconds: list[tuple[int, float]] = []
        """(iterations, seconds) of each execution, without what is done between them."""

    def restore(self, accept: Callable[[dict[str, Any]], None] = lambda about: None) -> list[str]:
        """Goes to the latest whole checkpoint, if there is one; changes nothing on the disk.

        Args:
            accept: Given what that checkpoint is about; raises an error to refuse it, before anything is changed.

        Returns:
            A line for each damaged checkpoint, and for what will be different.
        """
        content, messages = restoring.read(self.processes, self.checkpoints, self.backend.difference)
        if content is None:
            self._rows = []
            if self._history_path is not None and History.has_rows(self._history_path):
                messages.append(
                    f"there is no checkpoint to continue from: it starts over, and {self._history_path} is kept "
                    f"under another name"
                )
            return messages
        values, progress = content
        accept(progress["about"])
        self.backend.write(values)
        self.state = State.from_json(progress["state"])
        self.schedule.restore(self.state.schedule)
        self._rows = [Row(*cells) for cells in progress["history"]]
        if (before := progress["replicas"]) != (now := self.processes.replicas):
            messages.append(
                f"the number of replicas was {before} and is {now}: a result as good, but not the same bits"
            )
        return messages

    def take_best(self) -> int:
        """Gives the backend what it had at the smallest validation error; the training itself ends there.

        Returns:
            The iteration that the backend is at now: the last one, if the checkpoint of the best is gone.
        """
        best, last = self.state.best_iteration, self.state.iteration
        if best is None or best == last:
            return last
        content, _ = restoring.read(self.processes, self.checkpoints, self.backend.difference, best)
        if content is None:
            return last
        self.backend.write(content[0])
        return best

    def run(self) -> None:
        """Trains up to the last iteration.

        Raises:
            Stopped: after Ctrl-C or SIGTERM, once a checkpoint is written. A second one does not wait for it.
            NonFiniteLossError: if the loss or a weight is infinite or not a number; names the iteration and the last
                good checkpoint.
            WorkerLostError: if another process is gone.
            OSError: if a checkpoint cannot be written.
        """
        with self.processes.naming_lost_workers():
            self._run()

    def _run(self) -> None:
        progress = Progress(
            self.last_iteration,
            self.backend.global_batch_size,
            first_iteration=self.state.iteration,
            stream=None if self.processes.is_chief else io.StringIO(),
        )
        self._open_records()
        multi_step = self.backend.start(self.state.iteration, steps_per_execution=self.intervals.steps_per_execution)
        self.backend.network.stop_training = False
        self.callbacks.on_train_begin()
        pace = math.inf  # the first execution traces: it is of one iteration
        with contextlib.closing(progress), noting_signals(progress.message) as signals:
            while self.state.iteration < self.last_iteration and not self._stopped_by_callback:
                pace = self._execute(multi_step, progress, pace)
                saved = self._events(progress)
                # All processes stop together, and agree on the length of the next execution.
                reason, pace = self.processes.maximum([max(signals, default=0), pace])
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
            self._write_summary = summary_writer(self._logs)
        if self._history_path is not None:
            self.history = History(self._history_path)
            if self._rows is not None:  # what came after the checkpoint is going to be written again
                if not self._rows:
                    self.history.keep()
                self.history.replace(self._rows)

    @property
    def _stopped_by_callback(self) -> bool:
        return self.backend.network.stop_training

    @property
    def images_per_second(self) -> float | None:
        """Over all executions but the first one, which also traces the iterations; None before the second."""
        images = sum(count for count, _ in self.seconds[1:]) * self.backend.global_batch_size
        return images / sum(seconds for _, seconds in self.seconds[1:]) if images else None

    @property
    def waiting_percent(self) -> float | None:
        """The share of the time of all executions in which the devices waited for images; None where nobody knows."""
        waited, seconds = self.backend.waited_seconds, sum(seconds for _, seconds in self.seconds)
        return min(100.0, 100.0 * waited / seconds) if waited is not None and seconds else None

    def _execute(self, multi_step: MultiStep, progress: Progress, pace: float) -> float:
        """Runs the iterations up to the next event, or as many as seconds allow; returns the seconds for one."""
        first = self.state.iteration
        count = self.intervals.until_next(first, self.last_iteration, pace)
        rates = self.schedule(np.arange(first, first + count))
        start = time.perf_counter()
        losses, misclassified = multi_step(rates)
        self.seconds.append((count, time.perf_counter() - start))
        self._check_finite(losses)
        self.state.add(losses, misclassified)
        loss, error = float(losses.mean()), float(100.0 * misclassified.mean() / self.backend.global_batch_size)
        self.callbacks.on_train_batch_end(self.state.iteration - 1, {"loss": loss, "error": error})
        waiting = self.waiting_percent
        progress.update(self.state.iteration, loss=loss, training_error=error, waiting_percent=waiting)
        return self.seconds[-1][1] / count

    def _check_finite(self, losses: np.ndarray) -> None:
        if self.backend.exhausted:
            self._diverged(f"gradients of iteration {self.state.iteration} overflow float16 at any scale of the loss")
        if np.isfinite(losses).all():
            return
        bad = int(np.argmin(np.isfinite(losses)))
        self._diverged(f"the loss of iteration {self.state.iteration + bad} is {losses[bad]}")

    def _diverged(self, what: str) -> NoReturn:
        last = self.checkpoints.latest if self.checkpoints else None
        raise NonFiniteLossError(
            f"{what}. {f'The last good checkpoint is {last}' if last else 'No checkpoint has been written yet'}. "
            "A lower `learning_rate` or a warm-up (`warmup_iterations`) may help"
        )

    def _events(self, progress: Progress) -> bool:
        """Logs, validates and writes a checkpoint, if it is time to; returns whether it wrote one."""
        ends = self.state.iteration == self.last_iteration or self._stopped_by_callback
        validates, saves, logs = (
            ends or self.state.iteration % every == 0
            for every in (self.intervals.validate, self.intervals.checkpoint, self.intervals.log)
        )
        if logs or validates:
            measured = self._validate() if validates else None
            self._log(progress, measured)
            best = measured is not None and self.state.note_validation(measured.top1_error)
            saves = saves or best
        saves = saves or self._stopped_by_callback  # a callback may have just decided so
        if saves:
            self._save()
        progress.pause_ended()
        return saves

    def _validate(self) -> ErrorRates:
        with self.backend.evaluation_weights():
            return self.backend.evaluate(self.validation)

    def _log(self, progress: Progress, measured: ErrorRates | None) -> None:
        iteration = self.state.iteration
        rate = float(self.schedule(iteration - 1))
        loss, error = self.state.take_means(self.backend.global_batch_size)
        validation_loss, validation_error = (measured.loss, measured.top1_error) if measured else (None, None)
        row = Row(iteration, rate, loss, error, validation_loss, validation_error)
        if self.history:
            self.history.append(row)
        self._summarize(row)
        if measured:
            progress.message(
                f"iteration {iteration}: training error {error:.2f}%, validation error {validation_error:.2f}%, "
                f"validation loss {validation_loss:.4f}"
            )
            logs = {"loss": loss, "error": error, "val_loss": validation_loss, "val_error": validation_error}
            self.callbacks.on_epoch_end((iteration - 1) // self.intervals.validate, logs)
        if change := self.schedule.observe(iteration, training_error=error, validation_error=validation_error):
            progress.message(change)

    def _summarize(self, row: Row) -> None:
        values = {name: value for name, value in vars(row).items() if name != "iteration" and value is not None}
        if speed := self.images_per_second:
            values["images_per_second"] = speed
        self._write_summary(row.iteration, values)

    def _save(self) -> None:
        values = self.backend.read()
        # The loss of an iteration is that before its update: it says nothing about the weights that are saved.
        if not all(np.isfinite(value).all() for name, value in values.items() if name.startswith("model/")):
            self._diverged(f"the weights after iteration {self.state.iteration - 1} are not all finite")
        self.state.schedule = self.schedule.state
        if self.checkpoints and self.history:
            progress = {
                "state": self.state.to_json(),
                "history": [astuple(row) for row in self.history.rows()],
                "replicas": self.processes.replicas,
                "about": self.about,
            }
            self.checkpoints.save(self.state.iteration, values, progress, best=self.state.best_iteration)

    def _wait_for_checkpoint(self) -> None:
        if self.checkpoints:
            self.checkpoints.wait()
