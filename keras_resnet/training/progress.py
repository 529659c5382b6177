"""The progress of a training run, on one line."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from keras_resnet.host.progress_line import ProgressLine, duration


def progress_text(
    iteration: int,
    iterations: int,
    *,
    loss: float,
    training_error: float,
    images_per_second: float | None = None,
    seconds_left: float | None = None,
    waiting_percent: float | None = None,
) -> str:
    """The state of a training run in one line.

    Args:
        iteration: Iterations done.
        iterations: Iterations of the whole run.
        loss: Mean over the latest iterations.
        training_error: The same, in percent.
        images_per_second: The same, on all devices together. None: not known yet.
        seconds_left: Until the last iteration. None: not known yet.
        waiting_percent: The share of the time in which the devices waited for images, shown from 1% on. None: not
            known.
    """
    text = f"{iteration:>{len(str(iterations))}}/{iterations}  loss {loss:6.4f}  training error {training_error:5.2f}%"
    text += "" if images_per_second is None else f"  {images_per_second:,.0f} images/s"
    text += f"  {waiting_percent:.0f}% waiting for images" if (waiting_percent or 0.0) >= 1 else ""
    return text + ("" if seconds_left is None else f"  {duration(seconds_left)} left")


class Progress:
    """The progress line of a training run.

    Speed is measured between updates, without the pauses for validation and checkpoints. The time left is estimated
    from all the time since the first update, pauses included. Tracing and compiling come before that update, and happen
    only once: it has neither.

    Args:
        iterations: Of the whole run.
        global_batch_size: Images in one iteration.
        first_iteration: Iterations done before, in a run that continues.
        stream: Where to write. Defaults to standard error as it is then.
        clock: Seconds from any origin.
    """

    def __init__(
        self,
        iterations: int,
        global_batch_size: int,
        *,
        first_iteration: int = 0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.iterations = iterations
        self.global_batch_size = global_batch_size
        self._line = ProgressLine(stream, clock=clock)
        self._clock = clock
        self._origin: tuple[int, float] | None = None
        self._latest = (first_iteration, clock())

    def update(
        self, iteration: int, *, loss: float, training_error: float, waiting_percent: float | None = None
    ) -> None:
        """Shows a new line.

        Args:
            iteration: Iterations done.
            loss: Mean over the iterations since the last update.
            training_error: The same, in percent.
            waiting_percent: The share of the time in which the devices waited for images.
        """
        now = self._clock()
        speed = self.global_batch_size * _speed(self._latest, iteration, now)
        text = progress_text(
            iteration,
            self.iterations,
            loss=loss,
            training_error=training_error,
            images_per_second=speed if self._origin else None,
            seconds_left=self._seconds_left(self._origin, iteration, now) if self._origin else None,
            waiting_percent=waiting_percent if self._origin else None,
        )
        self._origin = self._origin or (iteration, now)
        self._latest = (iteration, now)
        self._line.show(text)

    def pause_ended(self) -> None:
        """Leaves the time since the last update out of the speed: something else than training took it."""
        self._latest = (self._latest[0], self._clock())

    def message(self, text: str) -> None:
        """Writes a line that stays, above the progress line."""
        self._line.message(text)

    def close(self) -> None:
        """Ends the progress line, so that what follows starts on its own."""
        self._line.close()

    def _seconds_left(self, since: tuple[int, float], iteration: int, now: float) -> float:
        speed = _speed(since, iteration, now)
        return (self.iterations - iteration) / speed if speed else 0.0


def _speed(since: tuple[int, float], iteration: int, now: float) -> float:
    """Iterations per second since an (iteration, time); 0 if none were done or no time has passed."""
    done, seconds = iteration - since[0], now - since[1]
    return done / seconds if seconds > 0 else 0.0
