"""What the runs of a study measured, and what makes it another thing than the paper's number."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from keras_resnet.config.recipe import Recipe
from keras_resnet.facts import paper
from keras_resnet.facts.datasets import DATASETS
from keras_resnet.reproduction.items import Attempt, Item, Row
from keras_resnet.reproduction.plan import measurement
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.runs.find import Runs, history_rows

LAST = 0.1
"""The part of a training that its training error is the mean of: a row of the record is of few images."""


@dataclass(frozen=True)
class Departure:
    """What differs from the paper, in words; `decisive` if the error is not to be compared with the paper's."""

    words: str
    decisive: bool = True


@dataclass(frozen=True)
class Measured:
    """What one attempt measured; errors in percent. `training` is None where no single network was trained for it."""

    top1: float
    top5: float
    images: int
    departures: tuple[Departure, ...]
    training: float | None = None


@dataclass(frozen=True)
class Finding:
    """A row of a study with what was measured for it; `attempts` is how many measurements were asked for."""

    row: Row
    attempts: int
    measured: tuple[Measured, ...]
    same_split: bool = True

    def mean(self, measure: str) -> float | None:
        """Of the error in percent, over the attempts that were measured."""
        errors = self._errors(measure)
        return statistics.fmean(errors) if errors else None

    def deviation(self, measure: str) -> float | None:
        """The standard deviation (n-1), in percentage points; `None` below two measurements."""
        errors = self._errors(measure)
        return statistics.stdev(errors) if len(errors) > 1 else None

    def difference(self, measure: str) -> float | None:
        """Our mean less the paper's error, in percentage points; `None` where they are not comparable."""
        ours, printed = self.mean(measure), self.row.error(measure)
        return ours - printed if self.comparable and ours is not None and printed is not None else None

    @property
    def comparable(self) -> bool:
        """Whether ours was trained and measured as the paper's was, as far as a recipe says."""
        return self.same_split and not any(departure.decisive for departure in self._departures())

    @property
    def departures(self) -> list[str]:
        """What differs from the paper, each once."""
        return list(dict.fromkeys(departure.words for departure in self._departures()))

    @property
    def images(self) -> list[int]:
        """The numbers of images that were counted: one, if all attempts counted the same."""
        return sorted({measured.images for measured in self.measured}, reverse=True)

    def _errors(self, measure: str) -> list[float]:
        errors = (getattr(measured, measure) for measured in self.measured)
        return [error for error in errors if error is not None]

    def _departures(self) -> Iterator[Departure]:
        for measured in self.measured:
            yield from measured.departures


def finding(item: Item, row: Row, attempts: Sequence[Attempt], runs: Runs, path: Path) -> Finding:
    """What is known of a row.

    Args:
        item: The study.
        row: Of it.
        attempts: Those of the row.
        runs: Those that there are in the path.
        path: The directory of the runs.

    Raises:
        ValueError: if a file of a run is damaged.
    """
    each = [measured(item, attempt, runs, path) for attempt in attempts]
    return Finding(row, len(attempts), tuple(one for one in each if one), item.same_split)


def measured(item: Item, attempt: Attempt, runs: Runs, path: Path) -> Measured | None:
    """What was measured of an attempt; `None` if that has not been done.

    Raises:
        ValueError: if a file of a run is damaged.
    """
    members = [runs.of(recipe) for recipe in attempt]
    finished = [directory for directory in members if directory and directory.finished]
    if len(finished) < len(attempt):
        return None
    later = measurement(item, attempt, runs, path)
    errors = evaluated(later.file, item, attempt) if later else at_the_end(finished[0])
    if errors is None:
        return None
    trained = zip(attempt, finished, strict=True)
    found = (
        *counted(item, errors["images"]),
        *errors.get("seen", ()),
        *(d for one, directory in trained for d in departures(one, directory)),
    )
    training = training_error(finished[0]) if len(finished) == 1 else None
    return Measured(errors["top1_error"], errors["top5_error"], errors["images"], tuple(dict.fromkeys(found)), training)


def training_error(directory: RunDirectory) -> float | None:
    """The mean error in percent over the last tenth of a training, on augmented images; `None` if it was not recorded.

    Raises:
        ValueError: if the record is damaged.
    """
    rows = history_rows(directory)
    late = [row.training_error for row in rows if row.iteration > (1 - LAST) * rows[-1].iteration]
    measured = [error for error in late if error is not None]
    return statistics.fmean(measured) if measured else None


def at_the_end(directory: RunDirectory) -> dict[str, Any]:
    """What a training measured on the test images, or on the validation images where there are no others."""
    try:
        splits = directory.read_result()["splits"]
        return dict(checked(splits.get("test") or splits["validation"]))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{directory.result} is damaged: it lacks {error}") from error


def evaluated(file: Path, item: Item, attempt: Attempt) -> dict[str, Any] | None:
    """What was measured later, if it was of these networks, images and views."""
    if not file.is_file():
        return None
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
        networks = [network["fingerprint"] for network in result["networks"]]
        if (result["dataset"], result["split"], result["view"]) != (item.dataset, "validation", item.view):
            return None
        if len(networks) != len(attempt):
            return None
        if any(name not in recipe.fingerprints for name, recipe in zip(networks, attempt, strict=True)):
            return None
        return {**checked(result), "seen": tuple(seen(item, result["protocol"]))}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} is damaged: {error}") from error


def checked(errors: dict[str, Any]) -> dict[str, Any]:
    """The errors, if all are there.

    Raises:
        KeyError: if one is missing.
        TypeError: if one is no number, or no percentage.
    """
    for name, most in {"images": math.inf, "top1_error": 100.0, "top5_error": 100.0}.items():
        if not isinstance(errors[name], int | float) or not 0 <= errors[name] <= most:
            raise TypeError(f"{name}={errors[name]!r}")
    return errors


def counted(item: Item, images: int) -> Iterator[Departure]:
    """Whether all images were counted: the test images of CIFAR-10, or the validation images of ImageNet."""
    if images != (every := DATASETS[item.dataset].test):
        yield Departure(f"{images:,} of {every:,} images counted")


def seen(item: Item, protocol: dict[str, Any]) -> Iterator[Departure]:
    """Whether photographs were seen at the paper's sizes, where several are."""
    if item.view == "multi-scale":
        if tuple(sides := protocol["shorter_sides"]) != paper.TEST_SCALES:
            yield Departure(f"shorter sides of {', '.join(map(str, sides))} pixels")
        if protocol["mirror"]:  # the paper does not say whether it saw them
            yield Departure("mirror images seen as well", decisive=False)


def departures(recipe: Recipe, directory: RunDirectory) -> Iterator[Departure]:
    """What is different in the training of one network.

    Raises:
        ValueError: if a file of the run is damaged.
    """
    if scale := scale_in_words(recipe.schedule.scale):
        yield Departure(scale)
    every = DATASETS[recipe.data.dataset].train
    if (images := directory.read_result().get("training_images", every)) != every:
        yield Departure(f"{images:,} of {every:,} training images")
    if any(start.get("changes") for start in directory.starts()):
        yield Departure("recipe changed during the training")
    if recipe.training.precision != "float32":
        yield Departure(recipe.training.precision, decisive=False)


def scale_in_words(scale: float) -> str:
    """`"1/8 of the schedule"`; empty for the whole."""
    if scale == 1:
        return ""
    # By way of the text: 0.1 is a tenth to whoever typed it.
    fraction = Fraction(str(scale))
    return f"{fraction} of the schedule" if scale < 1 else f"{scale:g} times the schedule"
