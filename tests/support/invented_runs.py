"""Directories of runs with invented numbers, without any training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_resnet.config.recipe import Recipe
from keras_resnet.facts.datasets import DATASETS
from keras_resnet.runs import results
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.runs.history import HEADER, Row

ERRORS = {"images": 360, "loss": 0.5, "top1_error": 2.5, "top5_error": 0.0}


def invented_result(**changes: Any) -> dict[str, Any]:
    """A `result.json` that follows the schema."""
    return {
        "recipe": "test",
        "fingerprint": "0123456789ab",
        "iterations": 64_000,
        "schedule_scale": 1.0,
        "view": "whole image",
        "splits": {"validation": ERRORS},
        "images_per_second": 1234.5,
        "class_names": list("0123456789"),
    } | changes


def invented_run(
    path: Path, recipe: Recipe, error: float | None = 8.0, *, rows: Sequence[Row] = (), speed: float = 128.0, **changes
) -> RunDirectory:
    """A run of a recipe with that top-1 error in percent; unfinished for `None`.

    `changes` go into its result; `rows` are its history.
    """
    directory = RunDirectory(path)
    directory.create(recipe.to_json(), {"started": "2026", "run": {}}, resume=True)
    directory.history.write_text("".join(line + "\n" for line in (HEADER, *(row.to_line() for row in rows))))
    if error is not None:
        facts = DATASETS[recipe.data.dataset]
        errors = {"images": facts.test, "loss": 1.0, "top1_error": error, "top5_error": error / 4}
        result = invented_result(
            recipe=recipe.name,
            fingerprint=recipe.fingerprint,
            iterations=recipe.schedule.scaled_iterations,
            schedule_scale=recipe.schedule.scale,
            training_images=facts.train,
            splits={"validation": errors},
            images_per_second=speed,
        )
        directory.write_result(result | changes)
    return directory


def invented_evaluation(directory: Path, members: Sequence[Recipe], view: str, error: float, /, **changes) -> Path:
    """The file of an evaluation on the validation images of ImageNet."""
    directory.mkdir(parents=True, exist_ok=True)
    result = {
        "images": 50_000,
        "loss": 1.0,
        "top1_error": error,
        "top5_error": error / 4,
        "dataset": "imagenet",
        "split": "validation",
        "view": view,
        "protocol": {"shorter_sides": [224, 256, 384, 480, 640], "mirror": False},
        "networks": [{"fingerprint": one.fingerprint} for one in members],
    }
    file = directory / f"result-{view}.json"
    results.write(file, result | changes, results.EVALUATION, remedy="")
    return file
