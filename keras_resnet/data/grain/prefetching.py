"""What is made ahead of time, by worker processes or by threads: pieces of batches, each a function of its number.

So neither the order nor what is in a batch depends on who makes it, and any batch can be the first one.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import pickle
import re
import signal
import time
import traceback
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from threading import Thread
from typing import Any, Protocol

import grain
import numpy as np
from absl import flags

from keras_resnet.host import worker_processes
from keras_resnet.host.memory_file import MemoryFile

Batch = tuple[Any, np.ndarray]
"""Images uint8 [batch, …], or a tuple of such, and labels int32 [batch]."""

WORKER = "keras_resnet.data.grain.worker"
"""Run in each process before anything else."""
NAMES = "grain-process-prefetch"
"""How the names of grain's processes begin."""
KILLED = re.compile(r"Worker process was terminated unexpectedly with exit code (-?\d+)")
"""What grain says of a worker that ended."""
PATIENCE = 30
"""Seconds that are given to workers which are still starting when they are to end."""
AHEAD = 4
"""Pieces that a worker makes before their batch is asked for, about."""
APART = 1 << 32
"""Bytes from the beginning of a place in the shelf to that of the next, more than any piece has."""


class Pieces(Protocol):
    """Pieces of batches, by their number. Every worker has a copy."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> Batch: ...


class Prefetched(Iterator[Batch]):
    """Batches in their order; an iterator that is to be closed, by a `with` statement or `close`.

    The workers start at once. They do not import the program, leave Ctrl-C and SIGTERM to it, and end with it.

    Args:
        pieces: What is made, by its number.
        together: Pieces of a batch, joined along the first axis.
        workers: Processes that make pieces. 0: threads of this process do.
        threads: Their number, where there are no workers.

    Raises:
        OSError: in `next`, if a worker was killed. The errors of `pieces` are raised as they are.
    """

    def __init__(self, pieces: Pieces, *, together: int = 1, workers: int = 0, threads: int = 1):
        self._together, self._left = together, len(pieces)
        workers = min(workers, len(pieces))
        shelf = _Shelf(workers, AHEAD + -(-together // workers)) if workers else None
        source = grain.MapDataset.source(_Guarded(pieces, shelf))
        # What a thread starts inherits its shield: every process begins in a thread that is begun here.
        with worker_processes.shielded() if workers else contextlib.nullcontext():
            iterators = _processes(source, workers) if workers else [_threads(source, threads)]
            first = [_in_background(iterator) for iterator in iterators]
        rest = (functools.partial(next, iterators[turn % len(iterators)]) for turn in itertools.count())
        self._pieces: Iterator[Callable[[], Any]] = itertools.chain((future.result for future in first), rest)
        self._join = shelf.take if shelf else _joined
        self.close = weakref.finalize(self, _close, iterators, first, shelf)

    def __next__(self) -> Batch:
        if self._left <= 0 or not self.close.alive:
            self.close()
            raise StopIteration
        try:
            batch = self._join([self._piece() for _ in range(self._together)])
        except Exception:
            self.close()
            raise
        self._left -= self._together
        return batch

    def _piece(self) -> Any:
        try:
            piece = next(self._pieces)()
        except RuntimeError as error:
            if killed := KILLED.search(str(error)):
                raise OSError(_reason(int(killed[1]))) from error
            raise
        if isinstance(piece, _Failure):
            raise piece.error
        return piece

    def __enter__(self) -> Prefetched:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _processes(source: grain.MapDataset, workers: int) -> list[grain.DatasetIterator]:
    """An iterator for each worker, which makes every `workers`-th piece; apart, so that they start and end at once."""
    worker_processes.run_first(WORKER, NAMES)
    _settle_flags()
    options = grain.MultiprocessingOptions(num_workers=1, per_worker_buffer_size=1)
    read = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)  # no threads within a worker
    parts = [source[worker::workers].to_iter_dataset(read) for worker in range(workers)]
    return [iter(part.mp_prefetch(options, worker_init_fn=_begin)) for part in parts]


def _begin(_worker: int, _workers: int) -> None:
    worker_processes.end_with_parent()


def _settle_flags() -> None:
    """Lets grain read its flags in a program that does not parse its command line by absl."""
    for name in () if flags.FLAGS.is_parsed() else flags.FLAGS:
        if name.startswith("grain_"):
            flags.FLAGS[name].present = True


def _threads(source: grain.MapDataset, threads: int) -> grain.DatasetIterator:
    return iter(source.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads + 1)))


def _in_background(iterator: Iterator) -> Future:
    """The first element of an iterator, which begins now."""
    future: Future = Future()

    def begin() -> None:
        try:
            future.set_result(next(iterator))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=begin, daemon=True).start()
    return future


def _close(iterators: list[grain.DatasetIterator], first: Sequence[Future], shelf: _Shelf | None) -> None:
    """Ends all workers, at once."""
    if shelf:
        shelf.close()
    wait(first, PATIENCE)
    closing = [Thread(target=iterator.close, daemon=True) for iterator in iterators]
    try:
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()
    except RuntimeError:  # no new threads while the interpreter ends
        for iterator in iterators:
            iterator.close()
    iterators.clear()  # grain's cannot be deleted while the interpreter ends


def _joined(pieces: Sequence[Batch]) -> Batch:
    """One batch of several pieces."""
    if len(pieces) == 1:
        return pieces[0]
    images, labels = zip(*pieces, strict=True)
    return np.concatenate(images), np.concatenate(labels)


@dataclass(frozen=True)
class _Placed:
    """What tells of a piece on a shelf."""

    number: int
    shapes: tuple[tuple[int, ...], ...]
    """Of the images, and last of the labels."""


@dataclass(frozen=True)
class _Shelf:
    """Memory through which pieces go from the workers to the program: written once and read once, never pickled.

    Grain's own way, a block of shared memory for each array, needs room in `/dev/shm`, of which containers often have
    64 MB, and leaves blocks behind when a program ends.

    Args:
        workers: That make pieces in turns.
        places: Of each worker, more than it has pieces in a batch: then none waits for a place while the program waits
            for its piece.
    """

    workers: int
    places: int
    file: MemoryFile = field(default_factory=MemoryFile)

    def _place(self, number: int) -> int:
        turn, worker = divmod(number, self.workers)
        return (1 + worker * self.places + turn % self.places) * APART

    def put(self, number: int, piece: Batch) -> _Placed:
        """Places a piece as soon as the one that was in its place is taken."""
        images, labels = piece
        arrays = (*images, labels) if isinstance(images, tuple) else (images, labels)
        place = self._place(number)
        while self._marked(place):
            if self._marked(0):
                raise InterruptedError("closed")
            time.sleep(0.001)
        buffers = [memoryview(np.ascontiguousarray(array)).cast("B") for array in arrays]
        self.file.write(place + 1, buffers)
        self.file.write(place, [b"\1"])
        return _Placed(number, tuple(array.shape for array in arrays))

    def take(self, placed: Sequence[_Placed]) -> Batch:
        """One batch of several pieces, whose places are free then."""
        types = [np.uint8] * (len(placed[0].shapes) - 1) + [np.int32]
        arrays = []
        for shapes, dtype in zip(zip(*(piece.shapes for piece in placed), strict=True), types, strict=True):
            arrays.append(np.empty((sum(shape[0] for shape in shapes), *shapes[0][1:]), dtype))
        rows = [0] * len(arrays)
        for piece in placed:
            place = offset = self._place(piece.number)
            offset += 1
            for k, (array, shape) in enumerate(zip(arrays, piece.shapes, strict=True)):
                part = array[rows[k] : rows[k] + shape[0]]
                self.file.read(offset, memoryview(part).cast("B"))
                rows[k], offset = rows[k] + shape[0], offset + part.nbytes
            self.file.write(place, [b"\0"])
        *images, labels = arrays
        return images[0] if len(images) == 1 else tuple(images), labels

    def close(self) -> None:
        """Lets no worker wait any longer."""
        self.file.write(0, [b"\1"])

    def _marked(self, offset: int) -> bool:
        mark = bytearray(1)
        self.file.read(offset, mark)
        return bool(mark[0])


@dataclass(frozen=True)
class _Failure:
    """An error in the place of a piece."""

    error: Exception


@dataclass(frozen=True)
class _Guarded:
    """Pieces, or the errors that making them raised, on a shelf if there is one.

    An error that cannot be pickled would be lost on its way out of a worker, and the program would wait for ever.
    """

    pieces: Pieces
    shelf: _Shelf | None

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, number: int) -> Batch | _Placed | _Failure:
        try:
            piece = self.pieces[number]
            return self.shelf.put(number, piece) if self.shelf else piece
        except Exception as error:
            return _Failure(_portable(error))


def _portable(error: Exception) -> Exception:
    """The error, if it survives pickling; otherwise one that tells of it."""
    trace = "".join(traceback.format_exception(error))
    error = error.with_traceback(None)
    error.__cause__ = error.__context__ = None
    with contextlib.suppress(Exception):  # whatever a foreign class does
        if isinstance(pickle.loads(pickle.dumps(error)), type(error)):
            return error
    return RuntimeError(trace)


def _reason(status: int) -> str:
    """Why a worker may have ended, and what helps."""
    how = signal.Signals(-status).name if status < 0 else f"status {status}"
    return f"A process that reads images was killed ({how}; out of memory?). Start again, with fewer `workers`"
