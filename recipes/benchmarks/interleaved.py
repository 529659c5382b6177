"""Contenders that are measured in turns, so that a machine whose speed drifts is fair to all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

Contender = Callable[[], int]
"""Does its work once, and returns of how many images."""


def measure(contenders: Mapping[str, Contender], rounds: int) -> dict[str, list[float]]:
    """Images per second of everybody in each round; one more round comes first and is not counted."""
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for done in range(rounds + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            images = run()
            if done:
                speeds[name].append(images / (time.perf_counter() - start))
    return speeds


def ratio(ours: list[float], theirs: list[float]) -> float:
    """How many times as fast, in the median over the rounds."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


def compare(contenders: Mapping[str, Contender], rounds: int) -> None:
    """Measures everybody, and prints images per second and the ratio of the first to each other one."""
    speeds = measure(contenders, rounds)
    reference = next(iter(speeds.values()))
    for name, measured in speeds.items():
        listed = " ".join(f"{speed:8,.0f}" for speed in measured)
        print(
            f"{name:38}{listed}   median {statistics.median(measured):8,.0f} images/s   "
            f"ratio {ratio(reference, measured):.2f}"
        )


def elsewhere(make: Callable[..., Contender], *arguments: object) -> Contender:
    """A contender in a process of its own; `make(*arguments)` makes it there."""
    pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=_prepare, initargs=(make, arguments))
    return lambda: pool.submit(_run).result()


_made: list[Contender] = []
"""In such a process, its contender."""


def _prepare(make: Callable[..., Contender], arguments: tuple) -> None:
    _made.append(make(*arguments))


def _run() -> int:
    return _made[0]()
