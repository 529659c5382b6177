"""What is to be measured, as far as it is known without TensorFlow."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from keras_resnet.config.recipe import Recipe
from keras_resnet.facts.datasets import DATASETS
from keras_resnet.runs.directory import RunDirectory
from labelled_images import data_directory_of

REMEDY = "Choose another --output"


@dataclass(frozen=True)
class Plan:
    """The networks, the images, and the files for the result."""

    sources: tuple[str, ...]
    dataset: str
    data_directory: str | None
    holdout: int
    result: Path
    predictions: Path


def make_plan(options: argparse.Namespace) -> Plan:
    """What the command line asks for, with the answers of the runs' recipes where it does not say.

    Raises:
        ValueError, OSError: saying what to change.
    """
    from keras_resnet.evaluation.ensembles import common

    sources = (options.source, *options.ensemble)
    recipes = {source: recipe for source in sources if (recipe := recipe_of(source))}
    if options.dataset is None and not recipes:
        raise ValueError(f"--dataset must be one of {', '.join(DATASETS)}: {sources[0]} is no run, which would tell")
    dataset, holdout = options.dataset, options.holdout
    if dataset is None:
        dataset = common("data set", {name: recipe.data.dataset for name, recipe in recipes.items()}, "Say --dataset")
    trained_on_it = {name: recipe.data.holdout for name, recipe in recipes.items() if recipe.data.dataset == dataset}
    if holdout is None:
        holdout = common("held-out images", trained_on_it, "Say --holdout") if trained_on_it else 0
    if options.view != "center" and (shape := DATASETS[dataset].image_shape):
        raise ValueError(
            f"--view must be center with images of one size, such as those of {dataset}: the paper's tests on them see "
            f"the whole {shape[0]}x{shape[1]} image, once. Received: --view {options.view}"
        )
    directory = output(options)
    return Plan(
        sources,
        dataset,
        options.data_directory or next(map(data_directory_of, trained_on_it), None),
        holdout,
        vacant(directory / f"result-{options.view}.json", options),
        vacant(directory / f"predictions-{options.view}.csv", options),
    )


def recipe_of(source: str) -> Recipe | None:
    """The recipe of a run; `None` for weights.

    Raises:
        ValueError: if it is damaged.
    """
    file = RunDirectory(Path(source)).recipe
    if not file.is_file():
        return None
    return Recipe.read(file)


def output(options: argparse.Namespace) -> Path:
    """The directory for what is kept.

    Raises:
        ValueError: if none is named, and there is not just one run.
        NotADirectoryError: if it is a file.
    """
    if options.output is None and (options.ensemble or not Path(options.source).is_dir()):
        raise ValueError("--output must name a directory for the result of weights or of an ensemble")
    directory = options.output or Path(options.source) / "evaluation"
    if directory.exists() and not directory.is_dir():
        raise NotADirectoryError(f"{directory} is a file. {REMEDY}")
    return directory


def vacant(file: Path, options: argparse.Namespace) -> Path:
    """The file, if it may be written.

    Raises:
        FileExistsError: if it is there, and may not be replaced.
    """
    if file.exists() and not options.overwrite:
        raise FileExistsError(f"{file} is there from an earlier evaluation. {REMEDY}, or replace it with --overwrite")
    return file
