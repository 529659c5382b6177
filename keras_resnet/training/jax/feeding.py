"""Batches on the devices before they are asked for, and how long the devices waited for them."""

from __future__ import annotations

import itertools
import queue
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import jax

POLL = 0.002
"""Seconds between two looks at whether the devices are done: the largest error of one wait."""
PATIENCE = 5
"""Seconds that the thread is given to end."""
END = object()
"""In the place of a batch: there are no more."""


class Feed(Iterator[tuple[Any, Any]]):
    """Global batches on the devices, put there ahead of time by a thread; an iterator that is to be closed.

    `waited_seconds` is the time in which the devices had nothing to do because there was no batch. Nothing is
    synchronized for it: only when a batch is late, it is looked at every 2 ms whether `output` is ready, the result of
    the computation that was started last. From then on the devices wait, until the batch has arrived in their memory.
    So a late batch that comes while they still compute costs nothing. The wait for the first batch does not count, as
    the network is compiled meanwhile. Not seen: devices that were idle before the batch was asked for.

    Args:
        batches: Of the replicas of this process in turns: (images uint8 [batch, …] or a tuple of such, labels int32
            [batch]). It is closed with this iterator, if it has `close`.
        sharding: Of the first axis over all replicas. Those of this process get their batches in the order of their
            places in the global batch.
        depth: Global batches that wait on the devices, at most.

    Attributes:
        output: To be set after each computation is started: an array of its result that is not donated. `None`: the
            whole of each wait counts.
        waited_seconds: See above.

    Raises:
        Exception: in `next`, whatever `batches` raised.
    """

    def __init__(self, batches: Iterator[tuple[Any, np.ndarray]], sharding: jax.sharding.Sharding, depth: int = 2):
        self.output: jax.Array | None = None
        self.waited_seconds = 0.0
        self._begun = False
        self._work = _Work(batches, sharding, queue.Queue(depth))
        self._thread = Thread(target=self._work.fill, daemon=True, name="keras-resnet-feed")
        self.close = weakref.finalize(self, _close, self._work, self._thread)
        self._thread.start()

    def __next__(self) -> tuple[Any, Any]:
        if not self.close.alive:
            raise StopIteration
        try:
            batch = self._work.ready.get_nowait()
        except queue.Empty:
            batch = self._late()
        self._begun = True
        if batch is not END:
            return batch
        error = self._work.error
        self.close()
        raise error or StopIteration

    def _late(self) -> Any:
        """The next batch, where it must be waited for."""
        idle_since = None
        while True:
            if idle_since is None and self._idle():
                idle_since = time.perf_counter()
            try:
                batch = self._work.ready.get(timeout=POLL)
            except queue.Empty:
                continue
            if idle_since is not None:
                self.waited_seconds += time.perf_counter() - idle_since
            return batch

    def _idle(self) -> bool:
        return self._begun and (self.output is None or self.output.is_ready())


@dataclass
class _Work:
    """What the thread does; it does not know the feed, which can be forgotten therefore."""

    batches: Iterator[tuple[Any, np.ndarray]]
    sharding: jax.sharding.Sharding
    ready: queue.Queue[Any]
    stop: Event = field(default_factory=Event)
    error: BaseException | None = None

    def fill(self) -> None:
        import jax

        try:
            devices = _devices_in_order(self.sharding)
            while not self.stop.is_set():
                parts = list(itertools.islice(self.batches, len(devices)))
                if len(parts) < len(devices):
                    break
                batch = jax.tree.map(lambda *arrays: _on_devices(arrays, devices, self.sharding), *parts)
                del parts
                # A batch is there when it has arrived; this thread alone waits for that.
                self.put(jax.block_until_ready(batch))
        except BaseException as error:
            self.error = error
        self.put(END)

    def put(self, batch: Any) -> None:
        while not self.stop.is_set():
            try:
                self.ready.put(batch, timeout=0.1)
            except queue.Full:
                continue
            return


def _close(work: _Work, thread: Thread) -> None:
    work.stop.set()
    thread.join(PATIENCE)
    if close := getattr(work.batches, "close", None):
        close()


def _devices_in_order(sharding: jax.sharding.Sharding) -> list[jax.Device]:
    """The devices of this process, in the order of their places in the global batch."""
    places = sharding.addressable_devices_indices_map((len(sharding.device_set),))
    return sorted(places, key=lambda device: places[device][0].start or 0)


def _on_devices(arrays: tuple[np.ndarray, ...], devices: list[jax.Device], sharding: jax.sharding.Sharding) -> Any:
    """The global array of which each device of this process has one of the arrays."""
    import jax

    shape = (len(arrays[0]) * len(sharding.device_set), *arrays[0].shape[1:])
    placed = [jax.device_put(array, device) for array, device in zip(arrays, devices, strict=True)]
    return jax.make_array_from_single_device_arrays(shape, sharding, placed)
