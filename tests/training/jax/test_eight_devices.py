"""One device, four and eight train alike on JAX, as TensorFlow does; see `eight_devices.py`."""

from __future__ import annotations

import ast
import functools
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import small_trainings
from keras_resnet.optimization import losses
from small_trainings import resnet8, shallow
from tiers import slow

PROGRAM = Path(__file__).with_name("eight_devices.py")
NO_LAWS = {"mesh_of", "backend", "train", "values_close", "verdict"}
LAWS = [
    node.name
    for node in ast.parse(PROGRAM.read_text()).body
    if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and node.name not in NO_LAWS
]
SLOW = [
    "residual_networks_on_one_and_eight_devices_train_alike",
    "eight_devices_train_residual_networks_as_tensorflow",
    "an_overflow_in_a_part_changes_only_what_is_counted",
]

pytestmark = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory) -> Callable[[bool], dict[str, str]]:
    """What the laws have to say: those of the slow tier, or the others, in one process."""
    folder = tmp_path_factory.mktemp("tensorflow")

    @functools.cache
    def verdicts(are_slow: bool) -> dict[str, str]:
        train_on_tensorflow(folder, *(("resnet8", resnet8) if are_slow else ("shallow", shallow)))
        laws = [law for law in LAWS if (law in SLOW) == are_slow]
        flags = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
        paths = os.pathsep.join(path for path in sys.path if path)
        environment = {"KERAS_BACKEND": "jax", "XLA_FLAGS": flags, "PYTHONPATH": paths}
        command = [sys.executable, str(PROGRAM), str(folder), *laws]
        done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return verdicts


def train_on_tensorflow(folder: Path, name: str, network: Callable) -> None:
    """What `eight_devices_train_as_tensorflow` compares with, on one device, from the first weights to the last."""
    from keras_resnet.training.tensorflow.backend import TensorFlowBackend

    processes = TensorFlowBackend.connect(strategy="one_device", replicas=None, global_batch_size=16, timeout=1.0)
    loss = functools.partial(losses.cross_entropy, smoothing=0.1)
    options = {"global_clipnorm": 1.0, "ema_momentum": 0.9, "loss": loss, "normalization_batch_size": 2}
    made = small_trainings.backend(TensorFlowBackend, processes, network, **options)
    first = made.read()
    trajectory, _ = made.start(0, steps_per_execution=50)(np.full(50, 3e-4, "float32"))
    last = made.read()
    made.recompute_statistics(40)
    precise = {key: value for key, value in made.read().items() if key.startswith("model/") and "moving_" in key}
    parts = {"first": first, "last": last, "precise": precise}
    arrays = {f"{part}/{key}": value for part, values in parts.items() for key, value in values.items()}
    np.savez(folder / f"{name}.npz", losses=trajectory, **arrays)


@pytest.mark.parametrize("law", [*(law for law in LAWS if law not in SLOW), *slow(SLOW)])
def test_on_eight_devices(verdicts, law):
    verdict = verdicts(law in SLOW)[law]
    assert not verdict, verdict
