"""State dicts, arrays by name, of the files that weights come in; nothing in a file is executed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_resnet.weights.readers.caffe_files import read_caffe
from keras_resnet.weights.readers.keras_files import read_keras
from keras_resnet.weights.readers.torch_files import read_safetensors, read_torch

READERS: dict[str, Callable[[Path], dict[str, np.ndarray]]] = {
    **dict.fromkeys((".pth", ".pt", ".th", ".tar", ".bin", ".ckpt"), read_torch),
    ".safetensors": read_safetensors,
    **dict.fromkeys((".h5", ".hdf5", ".keras"), read_keras),
    ".caffemodel": read_caffe,
}
"""Readers by the suffix of the file."""


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays in a file of PyTorch, safetensors, Keras or Caffe, by their names there.

    Args:
        path: The file; its suffix, a key of `READERS`, says what it is.

    Returns:
        float32 arrays, whatever their precision in the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it has another suffix, holds something else, is damaged, or has values that are not finite.
        ModuleNotFoundError: if the library that reads it is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}")
    if path.suffix.lower() not in READERS:
        raise ValueError(f"A file of weights must end in one of {', '.join(READERS)}. Received: {path}")
    with np.errstate(over="ignore"):  # a value too great for float32 is infinite then, and refused
        state_dict = {name: np.asarray(array, "float32") for name, array in READERS[path.suffix.lower()](path).items()}
    for name, array in state_dict.items():
        if not np.isfinite(array).all():
            raise ValueError(f"The weights in {path} must be finite. {name} is not; get the file again")
    return state_dict
