"""Labelled images for a trained network: those of its run, or of another data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.facts.datasets import DATASETS
from keras_resnet.runs.directory import RunDirectory

if TYPE_CHECKING:
    from keras_resnet.data.datasets.loading import Data
    from keras_resnet.inference.trained_network import TrainedNetwork


def load(
    trained: TrainedNetwork,
    dataset: str | None = None,
    data_directory: str | Path | None = None,
    holdout: int | None = None,
    *,
    tell: Callable[[str], None],
) -> Data:
    """The splits of a data set, in the size that a network takes.

    Args:
        trained: The network.
        dataset: A key of `DATASETS`. Defaults to that of the run.
        data_directory: Where it lies. Defaults to where the run found it.
        holdout: Training images that are the validation images. Defaults to the run's for its own data, otherwise 0.
        tell: Is told what takes long.

    Raises:
        ValueError, OSError: if they are not there, or do not fit the network.
    """
    from keras_resnet.data.datasets import loading
    from keras_resnet.evaluation.ensembles import check_class_names, common

    network, name, recipe = trained.network, str(trained.source), trained.recipe
    if recipe is None:
        require(name, dataset=dataset)
    own = recipe is not None and dataset in (None, recipe.data.dataset)
    dataset = dataset or recipe.data.dataset
    if own:
        data_directory = data_directory or data_directory_of(name)
        holdout = recipe.data.holdout if holdout is None else holdout
    side = network.image_shape[0] or network.spec.architecture.image_size
    size = None if DATASETS[dataset].image_shape else side
    data = loading.load(dataset, data_directory, holdout=holdout or 0, image_size=size, tell=tell)
    shape = tuple(there or here for there, here in zip(network.image_shape, data.image_shape, strict=True))
    common("shape of the images", {name: shape, dataset: data.image_shape})
    common("number of classes", {name: network.output_shape[-1], dataset: len(data.class_names)})
    check_class_names({name: trained.class_names, dataset: data.class_names})
    return data


def require(source: str, preprocessing: str | None = None, **needed: object) -> None:
    """Refuses a source that is no run, where what a run would tell is missing; all of it in one error.

    Args:
        source: As the user named it.
        preprocessing: How images are normalized for it, which some files do not say.
        **needed: Values by the keys of `TOLD_BY_A_RUN`; None is missing.

    Raises:
        FileNotFoundError: if there is no such source.
        ValueError: naming what is missing.
    """
    missing = [name for name, value in needed.items() if value is None]
    if not missing:
        return
    if not Path(source).exists():
        raise FileNotFoundError(f"There is no file or directory {source}")
    first, *others = missing
    rules = [f"`{first}` must be {TOLD_BY_A_RUN[first]}", *(f"`{name}` {TOLD_BY_A_RUN[name]}" for name in others)]
    more = ". `preprocessing`, too, must be given for a file that does not say how images are normalized"
    silent = preprocessing is None and Path(source).suffix != ".keras"
    raise ValueError(f"{', and '.join(rules)}: {source} is no run, which would tell{more if silent else ''}")


TOLD_BY_A_RUN = {"dataset": f"one of {', '.join(DATASETS)}", "output": "a directory for what is written"}
"""What must be said of weights, by argument, in words after "must be"."""


def data_directory_of(source: str) -> str | None:
    """Where a run found its images when it was last started; `None` for weights."""
    starts = RunDirectory(Path(source)).starts()
    return starts[-1].get("run", {}).get("data_directory") if starts else None
