"""Measurements of the runs of a study, and their departures from the paper."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from keras_resnet.config.recipe import Recipe
from keras_resnet.facts import paper
from keras_resnet.facts.datasets import DATASETS
from keras_resnet.reproduction.items import Attempt, Item, Row
from keras_resnet.reproduction.known_runs import KnownRuns
from keras_resnet.reproduction.plan import measurement
from keras_resnet.runs import history, results
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.runs.results import Values

LAST = 0.1
"""The share of a training, at its end, over which its training error is averaged: a row is of few images."""

PROTOCOL = {"mirror", "shorter_sides"}
"""What a test at several scales says of itself."""


@dataclass(frozen=True)
class Departure:
    """A departure from the paper, in words; `decisive` if the error is not to be compared with the paper's."""

    words: str
    decisive: bool = True


@dataclass(frozen=True)
class Measured:
    """The measurement of one attempt, errors in percent. `training` is None where it is not of a single network."""

    top1: float
    top5: float
    images: int
    departures: tuple[Departure, ...]
    training: float | None = None


@dataclass(frozen=True)
class Finding:
    """A row of a study with its measurements; `attempts` is how many were asked for."""

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


def finding(item: Item, row: Row, attempts: Sequence[Attempt], runs: KnownRuns, path: Path) -> Finding:
    """The finding of a row.

    Args:
        item: The study.
        row: Of it.
        attempts: Those of the row.
        runs: All runs in the path.
        path: The directory of the runs.

    Raises:
        ValueError: if a file of a run is damaged.
    """
    each = [measured(item, attempt, runs, path) for attempt in attempts]
    return Finding(row, len(attempts), tuple(one for one in each if one), item.same_split)


def measured(item: Item, attempt: Attempt, runs: KnownRuns, path: Path) -> Measured | None:
    """The measurement of an attempt; `None` if it has not been made.

    Raises:
        ValueError: if a file of a run is damaged.
    """
    members = [runs.of(recipe) for recipe in attempt]
    finished = [directory for directory in members if directory and directory.finished]
    if len(finished) < len(attempt):
        return None
    later = measurement(item, attempt, runs, path)
    errors = evaluated(later.file, item, attempt, finished) if later else at_the_end(finished[0])
    if errors is None:
        return None
    trained = zip(attempt, finished, strict=True)
    found = (
        *counted(item, errors["images"]),
        *(other_scales(item, errors["protocol"]) if later else ()),
        *(d for one, directory in trained for d in departures(one, directory)),
    )
    training = training_error(finished[0]) if len(finished) == 1 else None
    return Measured(errors["top1_error"], errors["top5_error"], errors["images"], tuple(dict.fromkeys(found)), training)


def training_error(directory: RunDirectory) -> float | None:
    """The mean error in percent over the last tenth of a training, on augmented images; `None` if it was not recorded.

    Raises:
        ValueError: if the record is damaged.
    """
    rows = history.read(directory.history)
    late = [row.training_error for row in rows if row.iteration > (1 - LAST) * rows[-1].iteration]
    measured = [error for error in late if error is not None]
    return statistics.fmean(measured) if measured else None


def at_the_end(directory: RunDirectory) -> Values:
    """The errors that a training measured on the test images, or on the validation images where there are no others.

    Raises:
        ValueError: if the result is damaged.
    """
    splits = directory.read_result()["splits"]
    return splits.get("test") or splits["validation"]


def evaluated(file: Path, item: Item, attempt: Attempt, members: Sequence[RunDirectory]) -> Values | None:
    """The later measurement, if it was of these networks, images and views.

    Args:
        file: Of the measurement.
        item: The study.
        attempt: The recipes of the networks.
        members: Their runs.

    Raises:
        ValueError: if a file is damaged.
    """
    if not file.is_file():
        return None
    result = results.read(file, results.EVALUATION)
    if (result["dataset"], result["split"], result["view"]) != (item.dataset, "validation", item.view):
        return None
    if item.view == "multi-scale" and not result["protocol"].keys() >= PROTOCOL:
        raise ValueError(f"{file} is damaged: `protocol` must have {' and '.join(sorted(PROTOCOL))}")
    networks = [network["fingerprint"] for network in result["networks"]]
    # An earlier version took another fingerprint of the same recipe: that which stands in the result of the run.
    known = [
        {recipe.fingerprint, run.read_result()["fingerprint"]} for recipe, run in zip(attempt, members, strict=True)
    ]
    same = len(networks) == len(known) and all(one in names for one, names in zip(networks, known, strict=True))
    return result if same else None


def counted(item: Item, images: int) -> Iterator[Departure]:
    """Images left out: of the test images of CIFAR-10, or the validation images of ImageNet."""
    if images != (every := DATASETS[item.dataset].test):
        yield Departure(f"{images:,} of {every:,} images counted")


def other_scales(item: Item, protocol: Values) -> Iterator[Departure]:
    """Sizes other than the paper's, where images are seen at several.

    Args:
        item: The study.
        protocol: Of a measurement by its view.
    """
    if item.view == "multi-scale":
        if tuple(sides := protocol["shorter_sides"]) != paper.TEST_SCALES:
            yield Departure(f"shorter sides of {', '.join(map(str, sides))} pixels")
        if protocol["mirror"]:  # the paper does not say whether it saw them
            yield Departure("mirror images seen as well", decisive=False)


def departures(recipe: Recipe, directory: RunDirectory) -> Iterator[Departure]:
    """Departures in the training of one network.

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
    # By way of the text, in which 0.1 is a tenth.
    fraction = Fraction(str(scale))
    return f"{fraction} of the schedule" if scale < 1 else f"{scale:g} times the schedule"
