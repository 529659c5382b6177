"""Training on the JAX backend: the same images, the same updates, and checkpoints that TensorFlow continues.

Run as a program, this file trains on the backend that `KERAS_BACKEND` names.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from interruptions import At
from keras_resnet.config.recipe import DataConfig, ModelConfig, OptimizerConfig, Recipe, ScheduleConfig, TrainingConfig
from keras_resnet.config.run import Run

pytestmark = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")

RECIPE = Recipe(
    "digits-jax",
    "A few iterations of a small network",
    ModelConfig(depth=8),
    DataConfig("digits", padding=1, normalization="per-channel"),
    OptimizerConfig(global_clipnorm=1.0),
    ScheduleConfig(learning_rate=0.003, iterations=6, boundaries=(3, 5)),
    TrainingConfig(global_batch_size=16, log_every=2, validate_every=6),
)


class CrashError(Exception):
    pass


def train(folder: Path, iterations: int = 6) -> int:
    """A training in this process, which an error ends after some iterations."""
    from keras_resnet.experiment import run as experiment

    def crash():
        raise CrashError

    run = Run(directory=str(folder), resume=folder.exists(), iterations_per_call=3, checkpoint_every=3)
    return experiment.train(RECIPE, run, [At(iterations + 1, crash)])


def train_on_jax(folder: Path, iterations: int = 6) -> subprocess.CompletedProcess:
    """The same in a process of its own."""
    command = [sys.executable, __file__, str(folder), str(iterations)]
    environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def rows(folder: Path) -> np.ndarray:
    return np.genfromtxt(folder / "history.csv", delimiter=",", skip_header=1)


def test_jax_continues_what_tensorflow_began_as_tensorflow_does(tmp_path, capsys):
    # The first weights differ, as each backend has random numbers of its own: both continue what TensorFlow began.
    with pytest.raises(CrashError):
        train(tmp_path / "tensorflow", iterations=3)
    shutil.copytree(tmp_path / "tensorflow", tmp_path / "jax")
    assert train(tmp_path / "tensorflow") == 0
    assert "continues after iteration 3" in capsys.readouterr().out
    done = train_on_jax(tmp_path / "jax")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "continues after iteration 3" in done.stdout
    assert "JAX" in json.loads((tmp_path / "jax" / "environment.json").read_text())[-1]["devices"][0]
    np.testing.assert_allclose(rows(tmp_path / "jax"), rows(tmp_path / "tensorflow"), rtol=1e-3)


@pytest.mark.slow
def test_tensorflow_continues_what_jax_began(tmp_path, capsys):
    assert "CrashError" in train_on_jax(tmp_path / "both", iterations=3).stderr
    assert train(tmp_path / "both") == 0
    assert "continues after iteration 3" in capsys.readouterr().out


@pytest.mark.parametrize("augmentation", [(), ("pad-crop",), ("flip",), ("pad-crop", "flip")], ids=" ".join)
def test_images_are_augmented_alike_to_the_bit(augmentation):
    from keras_resnet.data.augmentation import fixed_size, jax_fixed_size
    from keras_resnet.facts.augmentation import draws

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (32, 6, 7, 3), "uint8")
    numbers = random.random((32, draws(augmentation)), "float32")
    expected = fixed_size.augment(tf.constant(images), tf.constant(numbers), augmentation, 2)
    np.testing.assert_array_equal(jax_fixed_size.augment(images, numbers, augmentation, 2), expected)


@pytest.mark.parametrize("first", [0, 1, 7])
def test_batches_are_those_of_the_stream(first):
    from keras_resnet.data import order

    stream = order.stream(10, 2, seed=3, first_position=first * 4).batch(4).as_numpy_iterator()
    batches = order.batches(10, 2, seed=3, batch_size=4, first_iteration=first)
    for ours, expected in itertools.islice(zip(batches, stream, strict=True), 12):
        for part, wanted in zip(ours, expected, strict=True):
            np.testing.assert_array_equal(part, wanted)


if __name__ == "__main__":
    sys.exit(train(Path(sys.argv[1]), int(sys.argv[2])))
