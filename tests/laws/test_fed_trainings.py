"""A training on the images of files takes the same course on JAX as on TensorFlow, however it is fed.

Run as a program on JAX's two devices, this file trains in every way of `WAYS`.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pytest

import small_folders
import small_trainings
from keras_resnet.data.datasets import loading
from keras_resnet.models.layers.batch_normalization import BatchNormalization
from keras_resnet.training.backend import Backend, TrainingImages

BATCH, GROUP, ITERATIONS, SIZE, CLASSES = 8, 2, 6, 16, 1000
RATE = np.float32(1e-3)
"""Small: training is chaotic, see `trajectory.py`."""
AUGMENTATION = ("random-resized-crop", "flip")
WAYS: dict[str, dict] = {
    "one device": {},
    "two devices": {"devices": 2},
    "two devices, accumulated": {"devices": 2, "accumulation": 2},
    "worker processes": {"workers": 2},
    "two devices, worker processes": {"devices": 2, "workers": 3},
    "encoded cache": {"cache": "encoded"},
    "decoded cache": {"cache": "decoded"},
    "decoded cache, worker processes": {"cache": "decoded", "workers": 2},
    "resumed": {"first": 3, "devices": 2, "accumulation": 2},
    "resumed with worker processes": {"first": 3, "workers": 2},
}
"""How a training is fed, by name: devices, accumulation, workers, cache, and the iteration before which it stopped."""


def images(kind: str, place: str, cache: str | None = None) -> TrainingImages:
    """More than an epoch in `ITERATIONS` iterations."""
    data = loading.load(kind, place, image_size=SIZE, cache=cache)
    return TrainingImages(data.train.part(0, 40), AUGMENTATION, 4, 3)


def made(kind: type[Backend], images: TrainingImages, devices: int = 1, accumulation: int = 1) -> Backend:
    """One whose batch normalization sees two images at a time, whatever the devices."""

    def network() -> keras.Model:
        keras.utils.set_random_seed(1)
        pixels = keras.Input((SIZE, SIZE, 3), dtype="uint8")
        x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 128, offset=-1, dtype="float32")(pixels))
        return keras.Model(pixels, keras.layers.Dense(CLASSES, name="predictions")(BatchNormalization(name="bn")(x)))

    strategy = {"strategy": "mirrored", "replicas": devices} if devices > 1 else {"strategy": "one_device"}
    processes = kind.connect(**{"replicas": None, "global_batch_size": BATCH, "timeout": 1.0} | strategy)
    return kind(
        processes,
        network,
        small_trainings.optimizer,
        images,
        global_batch_size=BATCH,
        accumulation=accumulation,
        normalization_batch_size=GROUP,
        global_clipnorm=1.0,
    )


def losses(backend: Backend, first: int, last: int) -> list[float]:
    return backend.start(first, steps_per_execution=last - first)(np.full(last - first, RATE))[0].tolist()


@pytest.fixture(scope="module", params=["folder", "imagenet"])
def trained(request, tmp_path_factory) -> tuple[list[float], dict[str, list[float]]]:
    """The losses on TensorFlow, and on JAX from the same weights, in every way."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    from keras_resnet.training.tensorflow.backend import TensorFlowBackend

    folder = tmp_path_factory.mktemp(request.param)
    is_folder = request.param == "folder"
    place = (
        small_folders.pictures(folder / "pictures")
        if is_folder
        else str(request.getfixturevalue("shared_data") / "tfds")
    )
    backend = made(TensorFlowBackend, images(request.param, place))
    np.savez(folder / "first.npz", **backend.read())
    expected = losses(backend, 0, ITERATIONS)
    paths = os.pathsep.join(path for path in sys.path if path)
    flags = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
    command = [sys.executable, __file__, request.param, place, str(folder)]
    environment = os.environ | {"KERAS_BACKEND": "jax", "XLA_FLAGS": flags, "PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return expected, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_jax_trains_on_files_as_tensorflow(trained, way):
    expected, on_jax = trained
    assert np.ptp(expected) > 0.1, "every iteration has other images"
    np.testing.assert_allclose(on_jax[way], expected, rtol=1e-4)


def main(kind: str, place: str, folder: str) -> None:
    from keras_resnet.data.grain import batches
    from keras_resnet.training.jax.backend import JaxBackend

    found = {}
    for name, how in WAYS.items():
        make = functools.partial(batches.training_batches, workers=how.get("workers", 0))
        data = images(kind, place, how.get("cache"))
        options = {key: how[key] for key in ("devices", "accumulation") if key in how}
        with mock.patch.object(batches, "training_batches", make):
            backend = made(JaxBackend, data, **options)
            backend.write(dict(np.load(Path(folder) / "first.npz")))
            stop = how.get("first", ITERATIONS)
            found[name] = losses(backend, 0, stop)
            if stop < ITERATIONS:
                values, backend = backend.read(), made(JaxBackend, replace(data), **options)
                backend.write(values)
                found[name] += losses(backend, stop, ITERATIONS)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
