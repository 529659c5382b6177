"""Files of PyTorch's weights as arrays by name; nothing in them is executed."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np


def read_state(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays in a file of PyTorch (`.pth`, `.pt`, `.th`) or of safetensors (`.safetensors`).

    A state may lie in a dictionary of other things under `state_dict`, as training programs save it, and its names may
    begin with `module.`, as `DataParallel` has them.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds something else, is damaged, or has values that are not finite.
        ModuleNotFoundError: if torch, or safetensors, is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}")
    found = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    found = {name.removeprefix("module."): array for name, array in found.items()}
    for name, array in found.items():
        if not np.isfinite(array).all():
            raise ValueError(f"The weights in {path} must be finite. {name} is not; get the file again")
    return found


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is no file of safetensors, or damaged ({error}); get it again") from error


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    import torch

    try:
        with warnings.catch_warnings():  # such as one about an unusual protocol, of a file that is then refused
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path} is refused: it must hold tensors and plain values alone ({reason})") from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no file of PyTorch, or damaged ({error}); get it again") from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not state or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise ValueError(f"{path} must hold a dictionary of tensors, alone or under 'state_dict'")
    return {name: tensor.float().numpy() for name, tensor in state.items()}
