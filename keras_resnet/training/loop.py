"""The training loop: calls of many iterations, and what is due between two of them."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.evaluation.errors import Errors
from keras_resnet.schedules import Schedule
from keras_resnet.training.checkpoints import Checkpoints
from keras_resnet.training.history import History, Row
from keras_resnet.training.iterations import iterations
from keras_resnet.training.progress import Progress
from keras_resnet.training.state import State


class NonFiniteLossError(ArithmeticError):
    """The loss or a weight became infinite or not a number; no checkpoint was written after that."""


class Interrupted(Exception):  # noqa: N818, it is no error
    """Training was asked to stop, and has written a checkpoint."""


@dataclass(frozen=True)
class Intervals:
    """Iterations between two events of a kind; an event is due when the iterations done are a multiple."""

    log: int = 100
    validate: int = 1000
    checkpoint: int = 1000
    call: int = 50
    """The most iterations in one call; an event ends a call early."""

    def until_next(self, iteration: int, last_iteration: int) -> int:
        """Iterations that a call may run from here."""
        events = (every - iteration % every for every in (self.log, self.validate, self.checkpoint))
        return min(self.call, last_iteration - iteration, *events)


class Training:
    """A training run: iterations, the record of them, validation, checkpoints.

    Args:
        model: From uint8 images to logits; built, like the optimizer, in the scope of the strategy.
        optimizer: Its learning rate follows the schedule.
        schedule: Learning rate of each iteration; it is told the errors.
        batches: Function from the first iteration to an endless data set of (images, labels).
        validate: Measures the model.
        strategy: The devices.
        global_batch_size: Images in an iteration, over all replicas.
        last_iteration: When to stop.
        intervals: When to log, to validate, and to write a checkpoint.
        history: Record of the run.
        checkpoints: Where the run can be continued.
        logs: Directory for TensorBoard; None for no such logs.
        callbacks: Keras callbacks. `on_train_batch_end` follows each call, with "loss" and "error"; `on_epoch_end`
            follows each validation, with "val_loss" and "val_error" as well; `model.stop_training` ends the run.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        schedule: Schedule,
        batches: Callable[[int], tf.data.Dataset],
        validate: Callable[[], Errors],
        *,
        strategy: tf.distribute.Strategy,
        global_batch_size: int,
        last_iteration: int,
        intervals: Intervals,
        history: History,
        checkpoints: Checkpoints,
        logs: str | None = None,
        callbacks: Iterable[keras.callbacks.Callback] = (),
    ):
        self.model = model
        self.schedule = schedule
        self.batches = batches
        self.validate = validate
        self.strategy = strategy
        self.global_batch_size = global_batch_size
        self.last_iteration = last_iteration
        self.intervals = intervals
        self.history = history
        self.checkpoints = checkpoints
        self.writer = tf.summary.create_file_writer(logs) if logs else tf.summary.create_noop_writer()
        self.callbacks = keras.callbacks.CallbackList(list(callbacks), model=model)
        self.iterate = iterations(
            model, optimizer, strategy=strategy, global_batch_size=global_batch_size, most=intervals.call
        )
        self.state = State()
        self.seconds: list[tuple[int, float]] = []
        """(iterations, seconds) of each call, without what is done between calls."""

    def restore(self) -> list[str]:
        """Goes to the latest whole checkpoint, if there is one; returns a line for each damaged one."""
        saved, messages = self.checkpoints.restore()
        if saved is not None:
            self.state = State(**saved)
            self.schedule.restore(self.state.schedule)
        self.history.truncate(self.state.iteration)
        return messages

    def run(self) -> None:
        """Trains up to the last iteration.

        Raises:
            Interrupted: after Ctrl-C, once a checkpoint is written. A second Ctrl-C does not wait for it.
            NonFiniteLossError: if the loss or a weight is infinite or not a number; names the iteration and the last
                good checkpoint.
            OSError: if a checkpoint cannot be written.
        """
        progress = Progress(self.last_iteration, self.global_batch_size, first_iteration=self.state.iteration)
        # One iterator for the whole run: deleting an iterator can stall.
        batches = iter(self.strategy.experimental_distribute_dataset(self.batches(self.state.iteration)))
        self.model.stop_training = False
        self.callbacks.on_train_begin()
        with contextlib.closing(progress), stop_on_interrupt(progress) as interrupted, self.writer.as_default():
            while self.state.iteration < self.last_iteration and not self.model.stop_training:
                self._call(batches, progress)
                saved = self._events(progress)
                if interrupted:
                    # Twice would put a good checkpoint at risk.
                    if not saved:
                        self._save()
                    raise Interrupted(f"stopped after iteration {self.state.iteration}")
        self.callbacks.on_train_end()

    @property
    def images_per_second(self) -> float | None:
        """Over all calls but the first one, which also traces the iterations; None before the second."""
        images = sum(count for count, _ in self.seconds[1:]) * self.global_batch_size
        return images / sum(seconds for _, seconds in self.seconds[1:]) if images else None

    def _call(self, batches: Iterator, progress: Progress) -> None:
        """Runs the iterations up to the next event."""
        first = self.state.iteration
        count = self.intervals.until_next(first, self.last_iteration)
        rates = self.schedule(np.arange(first, first + count))
        start = time.perf_counter()
        losses, wrong = (result.numpy() for result in self.iterate(batches, tf.constant(rates)))
        self.seconds.append((count, time.perf_counter() - start))
        self._check_finite(losses)
        self.state.add(losses, wrong)
        loss, error = float(losses.mean()), float(100.0 * wrong.mean() / self.global_batch_size)
        self.callbacks.on_train_batch_end(self.state.iteration - 1, {"loss": loss, "error": error})
        progress.update(self.state.iteration, loss=loss, training_error=error)

    def _check_finite(self, losses: np.ndarray) -> None:
        if np.isfinite(losses).all():
            return
        bad = int(np.argmin(np.isfinite(losses)))
        self._diverged(f"the loss of iteration {self.state.iteration + bad} is {losses[bad]}")

    def _diverged(self, what: str) -> NoReturn:
        last = self.checkpoints.latest
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
            self._log(progress, self.validate() if validates else None)
        saves = saves or self.model.stop_training  # a callback may have just decided so
        if saves:
            self._save()
        progress.pause_ended()
        return saves

    def _log(self, progress: Progress, validation: Errors | None) -> None:
        iteration = self.state.iteration
        rate = float(self.schedule(iteration - 1))
        loss, error = self.state.take_means(self.global_batch_size)
        measured = (validation.loss, validation.top1_error) if validation else (None, None)
        self.history.append(Row(iteration, rate, loss, error, *measured))
        self._write_summaries(self.history.rows()[-1])
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
        for name, value in measured.items():
            tf.summary.scalar(name, value, step=row.iteration)

    def _save(self) -> None:
        # The loss of an iteration is that before its update: it says nothing about the weights that are saved.
        if not all(np.isfinite(weights).all() for weights in self.model.get_weights()):
            self._diverged(f"the weights after iteration {self.state.iteration - 1} are not all finite")
        self.state.schedule = self.schedule.state
        self.checkpoints.save(self.state.iteration, self.state.to_json())


@contextlib.contextmanager
def stop_on_interrupt(progress: Progress) -> Iterator[list[int]]:
    """While open, the first Ctrl-C only fills the list that is yielded; the second one interrupts as usual."""
    received: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, _) -> None:
        received.append(number)
        signal.signal(signal.SIGINT, before)
        progress.message("stopping after this call; Ctrl-C again to stop at once, without a checkpoint")

    try:
        signal.signal(signal.SIGINT, note)
    except ValueError:  # signals belong to the main thread; elsewhere there is nothing to catch
        yield received
        return
    try:
        yield received
    finally:
        signal.signal(signal.SIGINT, before)
