"""What every test stands on: the backend, two logical CPU devices, seeds, and where real data lies."""

from __future__ import annotations

import gc
import os
import random
import sys
from pathlib import Path

import pytest
from wrapt import when_imported

os.environ["KERAS_BACKEND"] = "tensorflow"  # tests on other backends start a process of their own
os.environ.setdefault("JAX_PLATFORMS", "cpu")  # libtpu, where it is installed to compile with, would look for a TPU
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the recipes do, whose processes have to agree with ours


def pytest_collection_finish():
    """Keeps what the imports left out of every later collection of garbage, which would walk all of it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # a network is made of tens of thousands of objects, none of them garbage


@when_imported("tensorflow")
def two_logical_devices(tensorflow):
    """Split the CPU in two at the moment TensorFlow is first imported, whichever test imports it.

    TensorFlow accepts the split only before its first operation, and importing it here would cost every test of pure
    Python several seconds.
    """
    config = tensorflow.config
    [cpu] = config.list_physical_devices("CPU")
    config.set_logical_device_configuration(cpu, [config.LogicalDeviceConfiguration()] * 2)


@pytest.fixture(autouse=True)
def seeds():
    """The same random numbers whichever tests ran before; frameworks that nothing has imported yet stay so."""
    random.seed(0)  # also the source of Keras's seeds
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)


@pytest.fixture(autouse=True)
def environment_of_the_tests(monkeypatch):
    """That of the tests again, after a program that chose one for its process."""
    for name in ("KERAS_BACKEND", "JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES"):
        if name in os.environ:
            monkeypatch.setenv(name, os.environ[name])
        else:
            monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True, scope="module")
def seeds_of_frameworks():
    """The frameworks' seeds, once a module: with each, TensorFlow makes all of its kernels anew."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


@pytest.fixture(scope="session")
def two_devices():
    """The strategy over both devices; one for all tests, as TensorFlow confuses the reductions of two in a process."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: `KERAS_RESNET_DATA`, or `../shared/data` beside the repository."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("KERAS_RESNET_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is no folder (set KERAS_RESNET_DATA)")
    return folder
