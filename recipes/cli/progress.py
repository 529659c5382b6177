"""The progress of evaluations and of shards, on one line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from keras_resnet.host.progress_line import ProgressLine, duration


class ImageProgress:
    """Images that were evaluated, with the speed since the first batch, whose time is spent on tracing.

    Args:
        total: Images of the whole evaluation.
        stream: Where to write. Defaults to standard error as it is then.
        clock: Seconds from any origin.
    """

    def __init__(self, total: int, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.clock = total, clock
        self.line = ProgressLine(stream, every=(0.2, 10.0), clock=clock)
        self.first: tuple[int, float] | None = None

    def __call__(self, done: int) -> None:
        """Shows the images that are done, if it is time."""
        if self.first is None:
            self.first = (done, self.clock())
        elif done > self.first[0] and self.line.due():
            speed = (done - self.first[0]) / (self.clock() - self.first[1])
            left = duration((self.total - done) / speed)
            self.line.show(f"{done:,} of {self.total:,} images, {speed:,.1f} images/s, {left} left")

    def end(self) -> None:
        """Takes the line away."""
        self.line.erase()


class ShardProgress:
    """Shards that are there, with the speed of those that are new.

    Args:
        total: All shards.
        stream: Where to write. Defaults to standard output as it is then.
        clock: Seconds from any origin.
    """

    def __init__(self, total: int, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.clock = total, clock
        self.line = ProgressLine(stream or sys.stdout, every=(0.2, 30.0), clock=clock)
        self.began = clock()
        self.done = self.images = self.new = self.written = 0

    def __call__(self, record: dict[str, Any], new: bool) -> None:
        """Counts a shard, and shows the line if it is time."""
        self.done += 1
        self.images += record["images"]
        self.new += new
        self.written += record["images"] * new
        if self.done == self.total or self.line.due():
            self.line.show(self.text(self.clock() - self.began))

    def text(self, seconds: float) -> str:
        """The line after so many seconds."""
        text = f"{self.done:,} of {self.total:,} shards, {self.images:,} images"
        if not self.new or not seconds:
            return text
        left = round((self.total - self.done) * seconds / self.new / 60)
        return f"{text}, {self.written / seconds:,.0f} images/s, {left // 60} h {left % 60:02} min left"

    def end(self) -> None:
        """Leaves the line, so that what follows begins on one of its own."""
        self.line.close()
