"""One device, many devices, many processes, a part at a time: the same training."""

from __future__ import annotations

import functools
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from keras_resnet.training.tensorflow import strategies
from ports import free_ports
from tiers import slow

PROGRAM = Path(__file__).with_name("trajectory.py")
program = runpy.run_path(str(PROGRAM))
losses, training = program["losses"], program["training"]
ALL, RATE = program["GLOBAL_BATCH_SIZE"], program["RATE"]
HALF = ALL // 2


@pytest.fixture(scope="module")
def of_one_device() -> Callable[..., np.ndarray]:
    """The losses on one device, by the images that batch normalization sees, and the rate."""
    trained = functools.cache(functools.partial(training, strategies.one_device()))
    return functools.cache(lambda size, rate=RATE: trained(size)(rate))


def start(*words: object, **environment: str) -> subprocess.Popen:
    """The program, in a process of its own."""
    command = [sys.executable, str(PROGRAM), *map(str, words)]
    return subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)


def result(process: subprocess.Popen) -> np.ndarray:
    """What it printed."""
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0
    return np.array(json.loads(output.splitlines()[-1]))


def test_learning_makes_a_difference(of_one_device):
    """Trajectories that stood still would all agree."""
    still = of_one_device(ALL, 0.0)
    assert len(still) == program["ITERATIONS"]
    assert np.abs(of_one_device(ALL) / still - 1).max() > 0.1


def test_what_batch_normalization_sees_makes_a_difference(of_one_device):
    assert np.abs(of_one_device(HALF) / of_one_device(ALL) - 1).max() > 1e-3


@pytest.mark.parametrize("size", [HALF, *slow([ALL])])
def test_two_devices(of_one_device, two_devices, size):
    np.testing.assert_allclose(losses(two_devices, size), of_one_device(size), rtol=1e-5)


def test_two_parts_of_an_iteration(of_one_device):
    np.testing.assert_allclose(losses(strategies.one_device(), HALF, parts=2), of_one_device(HALF), rtol=1e-5)


@pytest.mark.slow
def test_two_parts_on_two_devices(of_one_device, two_devices):
    """Synchronized over both devices, part by part."""
    np.testing.assert_allclose(losses(two_devices, HALF, parts=2), of_one_device(HALF), rtol=1e-5)


@pytest.mark.slow
def test_compiled_with_xla(of_one_device):
    np.testing.assert_allclose(losses(strategies.one_device(), HALF, xla=True), of_one_device(HALF), rtol=1e-5)


@pytest.mark.slow
def test_two_processes(of_one_device):
    config = {"cluster": {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}}
    tasks = [{"type": "worker", "index": index} for index in range(2)]
    workers = [start("multi_worker", 0, ALL, 1, TF_CONFIG=json.dumps({**config, "task": task})) for task in tasks]
    for worker in workers:
        np.testing.assert_allclose(result(worker), of_one_device(ALL), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("size", [ALL, HALF])
def test_four_devices(of_one_device, size):
    """In a process of their own: that of the tests has two."""
    np.testing.assert_allclose(result(start("mirrored", 4, size, 1)), of_one_device(size), rtol=1e-5)
