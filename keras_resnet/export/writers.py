"""Writers of a network in each format, by Keras's exporters."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import keras

from keras_resnet.export.formats import FORMATS


def write(network: keras.Model, name: str, path: Path, batch_size: int | None = None) -> None:
    """Writes a network in a format.

    Args:
        network: As `preparation.exportable` makes it.
        name: Format, a key of `WRITERS`.
        path: Ends in the format's suffix.
        batch_size: Images in a batch; None for any number.

    Raises:
        ValueError: if the backend of Keras cannot write the format.
        RuntimeError: if the exporter fails.
    """
    backend = keras.backend.backend()
    if reason := FORMATS[name].lacking.get(backend):
        allowed = ", ".join(known for known, row in FORMATS.items() if backend not in row.lacking)
        raise ValueError(
            f"`name` must be one of {allowed} with the backend {backend}. Received: name={name!r}: {reason}. Export "
            "the saved network with KERAS_BACKEND=tensorflow"
        )
    try:
        with warnings.catch_warnings():  # the converters' own, about NumPy and about themselves
            warnings.simplefilter("ignore")
            WRITERS[name](network, path, batch_size)
    except Exception as error:  # the converters raise whatever they meet
        raise RuntimeError(f"{network.name!r} cannot be exported to {name} ({first_line(error)})") from error


def first_line(error: Exception) -> str:
    """The first line of an error, without the stack that some libraries write below it."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def signature(network: keras.Model, batch_size: int | None) -> list[keras.InputSpec]:
    """The input of an exported network."""
    [image] = network.inputs
    return [keras.InputSpec(image.dtype, shape=(batch_size, *image.shape[1:]), name=image.name)]


def _by_keras(name: str) -> Callable[[keras.Model, Path, int | None], None]:
    def write(network: keras.Model, path: Path, batch_size: int | None) -> None:
        network.export(str(path), format=name, verbose=False, input_signature=signature(network, batch_size))

    return write


def _by_torch(network: keras.Model, path: Path, batch_size: int | None) -> None:
    """In a process of its own, where Keras computes with torch: a process cannot change its backend."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "network.keras"
        network.save(saved)
        command = [sys.executable, "-m", "keras_resnet.export.torch_process", saved, path, str(batch_size or 0)]
        done = subprocess.run(command, env=os.environ | {"KERAS_BACKEND": "torch"}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().rpartition("\n")[2] or f"exit status {done.returncode}")


WRITERS: dict[str, Callable[[keras.Model, Path, int | None], None]] = {
    "saved-model": _by_keras("tf_saved_model"),
    "onnx": _by_keras("onnx"),
    "litert": _by_keras("litert"),
    "openvino": _by_keras("openvino"),
    "torch": _by_torch,
}
"""Format -> function of a network, a path and the size of the batches."""
