"""The arrays in files of PyTorch and of safetensors; nothing in them is executed."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np

KEYS = ("state_dict", "model")
"""Where training programs put the weights beside other things; torchvision's under `model`."""


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """The tensors in a file that `torch.save` has written.

    They may lie in a dictionary of other things, under `state_dict` or `model`, and their names may begin with
    `module.`, as `DataParallel` has them.

    Raises:
        ValueError: if it holds something else, or is damaged.
        ModuleNotFoundError: if torch is not installed.
    """
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
    state_dict = content
    if isinstance(content, dict):
        state_dict = next((content[key] for key in KEYS if isinstance(content.get(key), dict)), content)
    tensors = isinstance(state_dict, dict) and all(isinstance(tensor, torch.Tensor) for tensor in state_dict.values())
    if not state_dict or not tensors:
        raise ValueError(f"{path} must hold a dictionary of tensors, alone or under {' or '.join(map(repr, KEYS))}")
    return {str(name).removeprefix("module."): tensor.float().numpy() for name, tensor in state_dict.items()}


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The arrays in a file of safetensors.

    Raises:
        ValueError: if it is none, or damaged.
        ModuleNotFoundError: if safetensors is not installed.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is no file of safetensors, or damaged ({error}); get it again") from error
