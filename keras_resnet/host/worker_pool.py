"""Processes that share the work, and end with the first one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection, get_context
from signal import SIG_IGN, SIGINT, signal
from threading import Thread
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


@contextmanager
def in_parallel(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int, start_worker: Callable[[], None]
) -> Iterator[Iterator[Result]]:
    """The results in the order in which they are ready, for a `with` statement.

    After an error, the tasks at hand are finished, and no others begun. After Ctrl-C, nothing is finished.

    Args:
        function: Of one task; found by its name in each process.
        tasks: What it is called with.
        workers: Processes. With one, or for a single task, this process does all.
        start_worker: Called in each process before its first task.

    Raises:
        OSError: if a worker was killed.
    """
    if workers == 1 or len(tasks) < 2:
        if tasks:
            start_worker()
        yield map(function, tasks)
        return
    context = get_context("spawn")
    life, hold = context.Pipe(duplex=False)  # ends when this process closes it, or is no more
    pool = ProcessPoolExecutor(
        min(workers, len(tasks)), context, initializer=begin_worker, initargs=(start_worker, life)
    )
    try:
        futures = [pool.submit(function, task) for task in tasks]
        yield (future.result() for future in as_completed(futures))
    except BrokenProcessPool as error:
        raise OSError(
            "A worker was killed, or could not start (out of memory?). Start the same again, with fewer `workers`: "
            "finished shards are kept"
        ) from error
    except KeyboardInterrupt:
        hold.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        hold.close()
        life.close()


def begin_worker(start_worker: Callable[[], None], life: connection.Connection) -> None:
    """Makes a worker leave Ctrl-C to the first process, and end with it however that ends."""
    signal(SIGINT, SIG_IGN)

    def follow() -> None:
        connection.wait([life])
        os._exit(1)

    Thread(target=follow, daemon=True).start()
    start_worker()
