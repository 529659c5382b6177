"""The directory of a finished run, without the training."""

from __future__ import annotations

from pathlib import Path

from keras_resnet.config.recipe import Recipe
from keras_resnet.config.run import Run
from keras_resnet.experiment import build
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.runs.environment import environment


def finished_run(path: Path, recipe: Recipe) -> RunDirectory:
    """What a run of a recipe leaves, with the weights that a training begins with and a result that was made up."""
    directory = RunDirectory(path)
    start = environment(["CPU:0"], per_replica_batch_size=recipe.training.global_batch_size, run={})
    directory.create(recipe.to_json(), start)
    data = build.load_data(recipe, Run())
    build.build_network(recipe, data).save(directory.model)
    errors = {"images": data.validation.size, "loss": 1.5, "top1_error": 25.0, "top5_error": 5.0}
    directory.write_result(
        {
            "recipe": recipe.name,
            "fingerprint": recipe.fingerprint,
            "iterations": recipe.schedule.scaled_iterations,
            "schedule_scale": recipe.schedule.scale,
            "training_images": data.train.size,
            "view": data.validation.view,
            "splits": {"validation": errors},
            "best_iteration": 1,
            "best_validation_error": 25.0,
            "images_per_second": None,
            "class_names": list(data.class_names),
        }
    )
    return directory
