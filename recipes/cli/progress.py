"""How far an evaluation is, for the one who waits for it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TextIO


class ImageProgress:
    """One line about the images that were seen: rewritten on a terminal, a new one every ten seconds in a file.

    The speed is that since the first batch, whose time is spent on tracing.

    Args:
        total: Images of the whole evaluation.
        stream: Where to write. Defaults to standard error as it is then.
        clock: Seconds from any origin.
    """

    def __init__(self, total: int, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.clock = total, clock
        self.stream = sys.stderr if stream is None else stream
        self.terminal, self.open = self.stream.isatty(), False
        self.first: tuple[int, float] | None = None
        self.shown = clock()

    def __call__(self, done: int) -> None:
        """Tells it, if it is time.

        Args:
            done: Images that were seen.
        """
        now = self.clock()
        if self.first is None:
            self.first = (done, now)
        elif done > self.first[0] and now - self.shown >= (0.2 if self.terminal else 10):
            self.shown, self.open = now, self.terminal
            speed = (done - self.first[0]) / (now - self.first[1])
            left = timedelta(seconds=round((self.total - done) / speed))
            line = f"{done:,} of {self.total:,} images, {speed:,.1f} images/s, {left} left"
            self.stream.write(f"\r\x1b[K{line}" if self.terminal else f"{line}\n")
            self.stream.flush()

    def end(self) -> None:
        """Takes the line away."""
        if self.open:
            self.stream.write("\r\x1b[K")
            self.stream.flush()
