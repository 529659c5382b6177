"""How far the shards are, while a person waits for hours."""

from __future__ import annotations

import sys
import time
from typing import Any


class Progress:
    """One line: rewritten on a terminal, now and then in a file."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.images, self.new, self.written = total, 0, 0, 0, 0
        self.began = self.shown = time.monotonic()
        self.terminal, self.open = sys.stdout.isatty(), False

    def __call__(self, record: dict[str, Any], new: bool) -> None:
        self.done += 1
        self.images += record["images"]
        self.new += new
        self.written += record["images"] * new
        now = time.monotonic()
        if self.done < self.total and now - self.shown < (0.2 if self.terminal else 30):
            return
        self.shown, self.open = now, self.terminal
        line = f"{self.done:,} of {self.total:,} shards, {self.images:,} images"
        if self.new:
            left = round((self.total - self.done) * (now - self.began) / self.new / 60)
            line += f", {self.written / (now - self.began):,.0f} images/s, {left // 60} h {left % 60:02} min left"
        print(f"\r\x1b[K{line}" if self.terminal else line, end="" if self.terminal else "\n", flush=True)

    def end(self) -> None:
        """Leaves the line, so that what follows begins on one of its own."""
        if self.open:
            print(flush=True)
