"""A run of a few iterations, which an error may end early.

Run as a program, this file trains on the backend that `KERAS_BACKEND` names.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from interruptions import At
from keras_resnet.config.recipe import DataConfig, ModelConfig, OptimizerConfig, Recipe, ScheduleConfig, TrainingConfig
from keras_resnet.config.run import Run
from keras_resnet.experiment import run as experiment

RECIPE = Recipe(
    "digits-short",
    "A few iterations of a small network",
    ModelConfig(depth=8),
    DataConfig("digits", padding=1, normalization="per-channel"),
    OptimizerConfig(global_clipnorm=1.0),
    ScheduleConfig(learning_rate=0.003, iterations=6, boundaries=(3, 5)),
    TrainingConfig(global_batch_size=16, log_every=2, validate_every=6),
)


class CrashError(Exception):
    pass


def crash():
    raise CrashError


def train(folder: Path, after: int = 6, action: Callable[[], object] = crash) -> int:
    """A training in this process; continues what the folder holds, and does something after some iterations.

    That is in the middle of those that follow: the checkpoint and the record are of these iterations.
    """
    run = Run(directory=str(folder), resume=folder.exists(), iterations_per_call=3, checkpoint_every=3)
    return experiment.train(RECIPE, run, [At(after + 1, action)])


if __name__ == "__main__":
    sys.exit(train(Path(sys.argv[1]), int(sys.argv[2])))
