"""State dicts, arrays by name, of the files that weights come in; nothing in a file is executed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_resnet.weights.readers.caffe_files import read_caffe
from keras_resnet.weights.readers.checkpoint import Checkpoint
from keras_resnet.weights.readers.keras_files import read_keras
from keras_resnet.weights.readers.safetensors_files import read_safetensors
from keras_resnet.weights.readers.torch_files import read_torch

READERS: dict[str, Callable[[Path], Checkpoint]] = {
    **dict.fromkeys((".pth", ".pt", ".th", ".tar", ".bin", ".ckpt"), read_torch),
    ".safetensors": read_safetensors,
    **dict.fromkeys((".h5", ".hdf5", ".keras"), read_keras),
    ".caffemodel": read_caffe,
}
"""Readers by the suffix of the file."""


def read_checkpoint(path: str | Path, entry: str | None = None) -> Checkpoint:
    """The arrays in a file of PyTorch, safetensors, Keras or Caffe, by their names there, with what it says of them.

    Args:
        path: The file; its suffix, a key of `READERS`, says what it is.
        entry: Key of the weights in a checkpoint of PyTorch that holds several; see `torch_files.read_torch`.

    Returns:
        With float32 arrays, whatever their precision in the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it has another suffix, holds something else, is damaged, or has values that are not finite.
        ModuleNotFoundError: if the library that reads it is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}")
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise ValueError(f"A file of weights must end in one of {', '.join(READERS)}. Received: {path}")
    if READERS[suffix] is read_torch:
        return read_torch(path, entry)
    if entry is not None:
        raise ValueError(f"`entry` must be None for {path}, which holds the weights alone. Received: entry={entry!r}")
    return READERS[suffix](path)


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of `read_checkpoint`."""
    return read_checkpoint(path).state_dict
