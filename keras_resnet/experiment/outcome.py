"""What a training leaves in its directory once it is finished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from keras_resnet.config.recipe import Recipe
from keras_resnet.data.datasets.loading import Data
from keras_resnet.evaluation.error_rates import ErrorRates
from keras_resnet.experiment import build
from keras_resnet.host import files
from keras_resnet.reporting import curves_figure, model_card, tensorboard
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.training.trainer import Trainer


def keep(
    directory: RunDirectory,
    recipe: Recipe,
    data: Data,
    trainer: Trainer,
    measured: Mapping[str, ErrorRates],
    values: Mapping[str, np.ndarray],
    kept: int,
) -> None:
    """Writes the network, the curve, the logs, the model card and the results; the mark of a finished run last.

    Args:
        directory: Of the run.
        recipe: What was trained.
        data: The images.
        trainer: After its last iteration.
        measured: The errors by split.
        values: Of the network that was measured, as `Backend.read` gives them.
        kept: The iteration of that network.

    Raises:
        OSError: if a file cannot be written.
    """
    network = build.portable(recipe, data, values)
    with files.replacing(directory.model) as whole:
        network.save(whole)
    curves_figure.draw(trainer.history.rows() if trainer.history else [], directory.curve, title=recipe.name)
    tensorboard.write(directory.logs, recipe, measured, trainer.state.iteration)
    result = {
        "recipe": recipe.name,
        "fingerprint": recipe.fingerprint,
        "iterations": trainer.state.iteration,
        "schedule_scale": recipe.schedule.scale,
        "training_images": data.train.size,
        "view": data.validation.view,
        "splits": {name: asdict(errors) for name, errors in measured.items()},
        "kept_iteration": kept,
        "best_iteration": trainer.state.best_iteration,
        "best_validation_error": trainer.state.best_error,
        "images_per_second": trainer.images_per_second,
        "waiting_percent": trainer.waiting_percent,
        "class_names": list(data.class_names),
    }
    model_card.write(directory, result)
    directory.write_result(result)
