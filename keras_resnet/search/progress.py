"""The count of a search and the time that is left, judged by its trainings so far and the sizes of the networks."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from keras_resnet.config.recipe import Recipe
from keras_resnet.facts.datasets import DATASETS
from keras_resnet.host.progress_line import duration
from keras_resnet.search import axes
from keras_resnet.search.report import counts
from keras_resnet.search.trials import Plan

CLASSES = 10
"""Of images whose classes nothing tells before they are read; they matter little."""


def hyperband_shares(rungs: int, factor: int = 3) -> list[float]:
    """The share of the schedule of each training of a hyperband search, as KerasTuner counts them."""
    return [
        factor ** (rung - bracket)
        for bracket in range(rungs)
        for rung in range(bracket + 1)
        for _ in range(math.ceil(rungs / (bracket + 1) * factor ** (bracket - rung)))
    ]


def work(recipe: Recipe) -> float:
    """A number in proportion to the time of a training: the multiply-adds of all its images."""
    per_image = counts(recipe, DATASETS[recipe.data.dataset].classes or CLASSES).multiply_adds
    return float(per_image) * recipe.schedule.scaled_iterations * recipe.training.global_batch_size


class Progress:
    """The points of a search.

    Args:
        plan: Of the search.
        every: Its axes.
        shares: Of the schedule, of each point that it will measure.
        whole_grid: Whether these are all points of the axes.
        clock: Seconds from any origin.
    """

    def __init__(
        self,
        plan: Plan,
        every: Sequence[axes.Axis],
        shares: Sequence[float],
        *,
        whole_grid: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan, self._clock = plan, clock
        known = dict(self._possible(every))
        self._mean = fmean(known.values()) if known else 0.0
        self._planned = {key: known.get(key, 0.0) for key in known} if whole_grid else None
        self._total, self._done = len(shares), 0
        self._share_left = sum(shares)
        self._trained = self._seconds = 0.0

    def _possible(self, every: Sequence[axes.Axis]) -> Iterator[tuple[str, float]]:
        """(point, its work) of the combinations of words, or of the ends of ranges, that are still to be trained."""
        for chosen in itertools.product(*(axis.words or axis.ends for axis in every)):
            values = {axis.name: axis.value(word) for axis, word in zip(every, chosen, strict=True)}
            if work_left := self._work(values, 1.0):
                yield repr(values), work_left

    def _work(self, values: Mapping[str, Any], share: float) -> float:
        """What is to be trained for a point; nothing if the recipe refuses it, or if it is finished."""
        with contextlib.suppress(ValueError):
            found = self._plan.trials(values, share)
            return sum(work(trial.recipe) for trial in found if not trial.directory.finished)
        return 0.0

    @contextlib.contextmanager
    def measuring(self, values: Mapping[str, Any], share: float) -> Iterator[str]:
        """Counts a point while it is measured; yields its number and the time that is left with it."""
        self._done += 1
        mine = self._work(values, share)
        yield f"[{self._done} of {self._total}{self._time_left()}]"
        began = self._began
        self._share_left -= share
        if self._planned is not None:
            self._planned.pop(repr(dict(values)), None)
        if mine:
            self._trained += mine
            self._seconds += self._clock() - began

    def _time_left(self) -> str:
        self._began = self._clock()
        if not self._trained:
            return ""
        left = sum(self._planned.values()) if self._planned is not None else self._mean * self._share_left
        return f", {duration(left * self._seconds / self._trained)} left" if left else ""
