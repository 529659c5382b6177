"""How long the devices have nothing to do because their images have not come."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any


class Idleness:
    """A watch on iterations that are given to the devices before those in front of them are done.

    Attributes:
        seconds: Time in which images were waited for and the devices had done everything else.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._given = 0
        self._done = (0, time.perf_counter())
        """Iterations, and when the last of them was done."""
        self._results: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._follow, daemon=True).start()

    def counted(self, batches: Iterator[Any]) -> Any:
        """The next batch; what the devices wait for it is counted."""
        start = time.perf_counter()
        batch = next(batches)
        end = time.perf_counter()
        done, when = self._done
        if done == self._given:
            self.seconds += end - max(start, when)
        return batch

    def given(self, result: Any) -> None:
        """Learns of an iteration that the devices were given, by an array that it computes."""
        self._given += 1
        self._results.put(result)

    def _follow(self) -> None:
        import jax

        while True:
            result = self._results.get()
            with contextlib.suppress(Exception):  # which the call raises that waits for it
                jax.block_until_ready(result)
            self._done = (self._done[0] + 1, time.perf_counter())
