"""The labelled images that a trained network is shown: those of its run, or of a data set that is named."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.facts.datasets import DATASETS
from keras_resnet.runs.directory import RunDirectory

if TYPE_CHECKING:
    from keras_resnet.data.datasets.loading import Data
    from keras_resnet.inference.trained_network import TrainedNetwork

TRAINING_FLAGS = {"--run.data-directory": "--data-directory", "--data.holdout": "--holdout"}
"""What errors about the data name by the flags of recipes/train.py, and the flags of the programs that use this."""


def load(trained: TrainedNetwork, dataset: str | None, directory: str | None, holdout: int | None = None) -> Data:
    """The splits of a data set, as a network wants to see them.

    Args:
        trained: The network.
        dataset: A key of `DATASETS`. Defaults to that of the run.
        directory: Where it lies. Defaults to where the run found it.
        holdout: Training images that are the validation images. Defaults to the run's for its own data, otherwise 0.

    Raises:
        ValueError, OSError: if they are not there, or do not fit the network.
    """
    from keras_resnet.data.datasets import loading
    from keras_resnet.evaluation.ensembles import check_class_names, common

    network, name, recipe = trained.network, str(trained.source), trained.recipe
    if dataset is None and recipe is None:
        raise ValueError(f"--dataset must be one of {', '.join(DATASETS)}: {name} is no run, which would tell")
    own = recipe is not None and dataset in (None, recipe.data.dataset)
    dataset = dataset or recipe.data.dataset
    if own:
        directory = directory or data_directory_of(name)
        holdout = recipe.data.holdout if holdout is None else holdout
    side = network.image_shape[0] or network.form.architecture.image_size
    size = None if DATASETS[dataset].image_shape else side
    try:
        data = loading.load(dataset, directory, holdout=holdout or 0, image_size=size, tell=tell)
    except (ValueError, OSError) as error:
        raise type(error)(in_own_words(str(error))) from error
    seen = tuple(there or here for there, here in zip(network.image_shape, data.image_shape, strict=True))
    common("shape of the images", {name: seen, dataset: data.image_shape})
    common("number of classes", {name: network.output_shape[-1], dataset: len(data.class_names)})
    check_class_names({name: trained.class_names, dataset: data.class_names})
    return data


def data_directory_of(source: str) -> str | None:
    """Where a run found its images when it was last started; `None` for weights."""
    starts = RunDirectory(Path(source)).starts()
    return starts[-1].get("run", {}).get("data_directory") if starts else None


def in_own_words(message: str) -> str:
    """An error with the flags of this program."""
    for theirs, ours in TRAINING_FLAGS.items():
        message = message.replace(theirs, ours)
    return message


def tell(line: str) -> None:
    """Says what takes long."""
    print(f"{line} …", file=sys.stderr, flush=True)
