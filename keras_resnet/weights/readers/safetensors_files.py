"""The arrays in files of safetensors, with what this package wrote beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.weights import metadata
from keras_resnet.weights.metadata import WeightsMetadata
from keras_resnet.weights.readers.checkpoint import Checkpoint, unwrapped
from keras_resnet.weights.readers.tensors import float32_of, refusal

DTYPES = {
    **{f"F{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
    **{f"I{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    "BOOL": "?",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}
"""Number types by their names in the format; those of a word are ml_dtypes'."""


def read_safetensors(path: Path) -> Checkpoint:
    """The arrays in a file of safetensors.

    Raises:
        ValueError: if it is none, or damaged, or has values of a type that is no weight's.
        ModuleNotFoundError: if safetensors is not installed.
    """
    from safetensors import SafetensorError, deserialize

    content = path.read_bytes()
    try:
        tensors = deserialize(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path} is no file of safetensors, or damaged ({error}); get it again") from error
    state_dict = {name: float32_of(_array(tensor, name, path), name, path) for name, tensor in tensors}
    return Checkpoint(unwrapped(state_dict), metadata=_metadata(header, path))


def _array(tensor: dict[str, Any], name: str, path: Path) -> np.ndarray:
    if tensor["dtype"] not in DTYPES:
        raise refusal(name, path, f"dtype={tensor['dtype']}")
    dtype = DTYPES[tensor["dtype"]]
    if dtype.isalnum() or "_" in dtype:
        import ml_dtypes

        dtype = getattr(ml_dtypes, dtype)
    return np.frombuffer(tensor["data"], dtype).reshape(tensor["shape"])


def _metadata(header: dict[str, Any], path: Path) -> WeightsMetadata | None:
    """What this package wrote in the header of a file."""
    text = (header.get("__metadata__") or {}).get(metadata.KEY)
    return None if text is None else metadata.loaded(text, path)
