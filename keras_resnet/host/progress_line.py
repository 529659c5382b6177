"""A line that says how far something is: rewritten in place on a terminal, a line after another in a file."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

from keras_resnet.host.texts import printable


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss, or m:ss below an hour."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class ProgressLine:
    """The line; its text is the caller's.

    Args:
        stream: Where to write. Defaults to standard error as it is then.
        every: Seconds between two lines, on a terminal and in a file; the first comes as late.
        clock: Seconds from any origin.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        every: tuple[float, float] = (0.0, 0.0),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._in_place = self._stream.isatty()
        self._every = every[0] if self._in_place else every[1]
        self._clock = clock
        self._shown_at = clock()
        self._length = 0

    def due(self) -> bool:
        """Whether it is time for another line."""
        return self._clock() - self._shown_at >= self._every

    def show(self, text: str) -> None:
        """Shows a new text."""
        self._shown_at = self._clock()
        if not self._in_place:
            self._write(text + "\n")
            return
        text = text[: shutil.get_terminal_size().columns - 1]  # a line that wraps cannot be rewritten
        self._write("\r" + text.ljust(self._length))
        self._length = len(text)

    def message(self, text: str) -> None:
        """Writes a line that stays, above the progress line."""
        self.erase()
        self._write(printable(text) + "\n")

    def erase(self) -> None:
        """Takes the line away from a terminal."""
        if self._length:
            self._write("\r" + " " * self._length + "\r")
        self._length = 0

    def close(self) -> None:
        """Ends the line, so that what follows starts on its own."""
        if self._length:
            self._write("\n")
        self._length = 0

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
