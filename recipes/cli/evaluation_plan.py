"""The options of an evaluation, and what follows from them without TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from cli.options import OfOverwriting, OfSplit, Preprocessing
from keras_resnet.config.recipe import Recipe
from keras_resnet.evaluation.ensembles import common
from keras_resnet.facts.datasets import DATASETS
from keras_resnet.host import outputs
from keras_resnet.inference.labelled_images import data_directory_of, require
from keras_resnet.runs.directory import RunDirectory

View = Literal["center", "10-crop", "multi-scale"]

VIEW_OPTIONS = {"center": ("batch_size",), "10-crop": ("batch_size",), "multi-scale": ("shorter_sides", "mirror")}
"""The options of a view; at several scales, one photograph at a time is seen."""


@dataclass(frozen=True, kw_only=True)
class Options(OfSplit, OfOverwriting):
    """Options of recipes/evaluate.py."""

    source: Annotated[Positional[str], arg(metavar="RUN_OR_WEIGHTS")]
    """The directory of a finished run, a .keras file, or weights."""
    view: View = "center"
    """What is seen of an image."""
    ensemble: tuple[str, ...] = ()
    """Networks whose scores are averaged with those of the first."""
    preprocessing: Preprocessing | None = None
    """How images are normalized for weights whose file does not say so."""
    images: int | None = None
    """Only the first images of the split. None: all."""
    batch_size: int | None = None
    """Images at a time. None: 100, or with 10-crop 10."""
    shorter_sides: tuple[int, ...] = ()
    """multi-scale: sizes of the images; 224 256 384 480 640 if none is given."""
    mirror: bool = False
    """multi-scale: see mirror images as well."""
    output: Path | None = None
    """The directory for what is kept. None: RUN/evaluation."""
    predictions: bool = False
    """Keep the five largest scores of every image."""

    def _check(self) -> None:
        self._at_least(1, "images", "batch_size")
        for name in ("batch_size", "shorter_sides", "mirror"):
            if getattr(self, name) and name not in VIEW_OPTIONS[self.view]:
                takers = " or ".join(view for view, names in VIEW_OPTIONS.items() if name in names)
                raise ValueError(f"`{name}` is for `view` {takers}. Received: view={self.view!r}")

    def of_view(self) -> dict[str, Any]:
        """The options of the view that were given."""
        return {name: value for name in VIEW_OPTIONS[self.view] if (value := getattr(self, name))}


@dataclass(frozen=True)
class Plan:
    """The networks, the images, and the files for the result."""

    sources: tuple[str, ...]
    dataset: str
    data_directory: str | None
    holdout: int
    result: Path
    predictions: Path


def make_plan(options: Options) -> Plan:
    """The plan of an evaluation, with the answers of the runs' recipes where the options are silent.

    Raises:
        ValueError, OSError: saying what to change.
    """
    sources = (options.source, *options.ensemble)
    recipes = {source: recipe for source in sources if (recipe := recipe_of(source))}
    dataset, holdout = options.dataset, options.holdout
    if not recipes:
        require(sources[0], options.preprocessing, dataset=dataset, output=options.output)
    if dataset is None:
        dataset = common("data set", {name: recipe.data.dataset for name, recipe in recipes.items()}, "Say `dataset`")
    trained_on_it = {name: recipe.data.holdout for name, recipe in recipes.items() if recipe.data.dataset == dataset}
    if holdout is None:
        holdout = common("held-out images", trained_on_it, "Say `holdout`") if trained_on_it else 0
    if options.view != "center" and (shape := DATASETS[dataset].image_shape):
        raise ValueError(
            f"`view` must be center with images of one size, such as those of {dataset}: the paper's tests on them see "
            f"the whole {shape[0]}x{shape[1]} image, once. Received: view={options.view!r}"
        )
    directory = output(options)
    plan = Plan(
        sources,
        dataset,
        options.data_directory or next(map(data_directory_of, trained_on_it), None),
        holdout,
        directory / f"result-{options.view}.json",
        directory / f"predictions-{options.view}.csv",
    )
    outputs.check_vacant([plan.result, plan.predictions], overwrite=options.overwrite)
    return plan


def recipe_of(source: str) -> Recipe | None:
    """The recipe of a run; `None` for weights.

    Raises:
        ValueError: if it is damaged.
    """
    file = RunDirectory(Path(source)).recipe
    return Recipe.read(file) if file.is_file() else None


def output(options: Options) -> Path:
    """The directory for what is kept.

    Raises:
        ValueError: if none is named, and there is not just one run.
        NotADirectoryError: if it is a file.
    """
    if options.output is None and (options.ensemble or not Path(options.source).is_dir()):
        raise ValueError("`output` must name a directory for the result of weights or of an ensemble")
    directory = options.output or Path(options.source) / "evaluation"
    outputs.check_directory(directory)
    return directory
