"""Interleaved timing: tasks that are measured alternately, so that a machine whose speed drifts is fair to all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from multiprocessing import get_context

Task = Callable[[], int]
"""Does some work once, and returns of how many images. If it is a context manager, it is entered before it is timed."""


def measure(tasks: Mapping[str, Task], rounds: int) -> dict[str, list[float]]:
    """Images per second of each task in each round; one more round comes first and is not counted."""
    speeds: dict[str, list[float]] = {name: [] for name in tasks}
    for done in range(rounds + 1):
        for name, run in tasks.items():
            with run if isinstance(run, AbstractContextManager) else nullcontext():
                start = time.perf_counter()
                images = run()
                seconds = time.perf_counter() - start
            if done:
                speeds[name].append(images / seconds)
    return speeds


def ratio(speeds: list[float], baseline: list[float]) -> float:
    """How many times as fast as a baseline, in the median over the rounds."""
    return statistics.median(one / other for one, other in zip(speeds, baseline, strict=True))


def compare(tasks: Mapping[str, Task], rounds: int) -> None:
    """Measures all tasks, and prints images per second and the ratio of the first to each other one."""
    speeds = measure(tasks, rounds)
    reference = next(iter(speeds.values()))
    for name, measured in speeds.items():
        listed = " ".join(f"{speed:8,.0f}" for speed in measured)
        print(
            f"{name:38}{listed}   median {statistics.median(measured):8,.0f} images/s   "
            f"ratio {ratio(reference, measured):.2f}"
        )


def in_own_process(make: Callable[..., Task], *arguments: object) -> Task:
    """A task in a process of its own; `make(*arguments)` makes it there."""
    pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=_prepare, initargs=(make, arguments))
    return lambda: pool.submit(_run).result()


_made: list[Task] = []
"""In such a process, its task."""


def _prepare(make: Callable[..., Task], arguments: tuple) -> None:
    _made.append(make(*arguments))


def _run() -> int:
    return _made[0]()
