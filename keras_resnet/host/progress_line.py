"""The progress line of a training run."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss, or m:ss below an hour."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def progress_line(
    iteration: int,
    iterations: int,
    *,
    loss: float,
    training_error: float,
    images_per_second: float,
    seconds_left: float,
) -> str:
    """One line about the state of a training run.

    Args:
        iteration: Iterations done.
        iterations: Iterations of the whole run.
        loss: Mean over the latest iterations.
        training_error: The same, in percent.
        images_per_second: The same, on all devices together.
        seconds_left: Until the last iteration.
    """
    return (
        f"{iteration:>{len(str(iterations))}}/{iterations}  loss {loss:6.4f}  training error {training_error:5.2f}%  "
        f"{images_per_second:,.0f} images/s  {duration(seconds_left)} left"
    )


class Progress:
    """Shows the progress line: rewritten in place on a terminal, line after line in a file.

    Speed is measured between updates, without the pauses for validation and checkpoints. The time left is estimated
    from all the time since the first update, pauses included; tracing, which came before, happens only once.

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
        self._stream = sys.stderr if stream is None else stream
        self._in_place = self._stream.isatty()
        self._clock = clock
        self._shown = 0
        self._origin: tuple[int, float] | None = None
        self._latest = (first_iteration, clock())

    def update(self, iteration: int, *, loss: float, training_error: float) -> None:
        """Shows a new line.

        Args:
            iteration: Iterations done.
            loss: Mean over the iterations since the last update.
            training_error: The same, in percent.
        """
        now = self._clock()
        line = progress_line(
            iteration,
            self.iterations,
            loss=loss,
            training_error=training_error,
            images_per_second=self.global_batch_size * _speed(self._latest, iteration, now),
            seconds_left=self._seconds_left(iteration, now),
        )
        self._origin = self._origin or (iteration, now)
        self._latest = (iteration, now)
        self._show(line)

    def pause_ended(self) -> None:
        """Leaves the time since the last update out of the speed: something else than training took it."""
        self._latest = (self._latest[0], self._clock())

    def message(self, text: str) -> None:
        """Writes a line that stays, above the progress line."""
        self._erase()
        self._stream.write(text + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Ends the progress line, so that what follows starts on its own."""
        if self._shown:
            self._stream.write("\n")
            self._stream.flush()
        self._shown = 0

    def _seconds_left(self, iteration: int, now: float) -> float:
        speed = _speed(self._origin or self._latest, iteration, now)
        return (self.iterations - iteration) / speed if speed else 0.0

    def _show(self, line: str) -> None:
        if not self._in_place:
            self._stream.write(line + "\n")
        else:
            # A line that wraps cannot be rewritten.
            line = line[: shutil.get_terminal_size().columns - 1]
            self._stream.write("\r" + line.ljust(self._shown))
            self._shown = len(line)
        self._stream.flush()

    def _erase(self) -> None:
        if self._shown:
            self._stream.write("\r" + " " * self._shown + "\r")
        self._shown = 0


def _speed(since: tuple[int, float], iteration: int, now: float) -> float:
    """Iterations per second since an (iteration, time); 0 if none were done or no time has passed."""
    done, seconds = iteration - since[0], now - since[1]
    return done / seconds if seconds > 0 else 0.0
