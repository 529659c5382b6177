"""The tensors in files of PyTorch; nothing in them is executed."""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.facts.preprocessing import Preprocessing
from keras_resnet.weights.readers.checkpoint import COUNTER, Checkpoint, choose, unwrapped
from keras_resnet.weights.readers.tensors import float32_of

CLASS = re.compile(r"GLOBAL (\S+)")
"""The class in the error of torch about a file that holds more than tensors and plain values."""


def read_torch(path: Path, entry: str | None = None) -> Checkpoint:
    """The tensors in a file that `torch.save` has written.

    They may lie in a dictionary of other things, such as those that the training programs of torchvision and timm
    write, and their names may begin with those of wrappers.

    Args:
        path: The file.
        entry: Key of the weights among other things. Defaults to an average of them, or else to the usual key.

    Raises:
        ValueError: if it holds something else, or is damaged.
        ModuleNotFoundError: if torch is not installed.
    """
    content = _loaded(path)
    found = {str(key): value for key, value in content.items() if _is_state_dict(value)}
    if not found and _is_state_dict(content):
        found = {"": content}
    if not found:
        raise ValueError(_nothing(path, content))
    key = choose(found, entry, path)
    state_dict = {name: float32_of(tensor, name, path) for name, tensor in unwrapped(found[key]).items()}
    others = tuple(other for other in found if other != key)
    return Checkpoint(state_dict, key, others, **_said(content))


def safe_globals() -> list[Any]:
    """What training programs keep beside the weights, and what does nothing when it is made: their arguments."""
    multiarray = np._core.multiarray if hasattr(np, "_core") else np.core.multiarray
    classes = [argparse.Namespace, pathlib.PurePosixPath, pathlib.PosixPath, np.ndarray, np.dtype]
    classes += [type(np.dtype(kind)) for kind in ("float16", "float32", "float64", "int32", "int64", "uint8", "bool")]
    functions = [multiarray.scalar, multiarray._reconstruct]
    old = [(function, f"numpy.core.multiarray.{function.__name__}") for function in functions]
    new = [(function, f"numpy._core.multiarray.{function.__name__}") for function in functions]
    paths = [(pathlib.PosixPath, "pathlib._local.PosixPath")]  # as Python 3.13 writes it
    return [*classes, *old, *new, *paths]


def _loaded(path: Path) -> Mapping[Any, Any]:
    """The dictionary in a file."""
    import torch

    if _is_torchscript(path):
        raise ValueError(
            f"{path} is refused: it is a TorchScript program, which would have to be run. Where you trust it, write "
            "its weights: torch.save(torch.jit.load(file).state_dict(), 'weights.pth')"
        )
    with path.open("rb") as stream:
        begin = stream.read(2)
    if begin != b"PK" and begin[:1] != b"\x80":
        reason = "it begins otherwise" if begin else "it is empty"
        raise ValueError(f"{path} is no file of PyTorch, or damaged ({reason}); get it again")
    try:
        with warnings.catch_warnings(), _allowed():
            warnings.simplefilter("ignore")  # such as one about an unusual protocol, of a file that is then refused
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} is refused: it must hold tensors and plain values alone ({_cause(error)}). Where you trust it, "
            "write its weights alone: torch.save(network.state_dict(), 'weights.pth')"
        ) from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path} is no file of PyTorch, or damaged ({reason}); get it again") from error
    return content if isinstance(content, Mapping) else {}


def _allowed():
    """The context in which `safe_globals` are read; versions of torch before 2.5 have none."""
    import torch

    allow = getattr(torch.serialization, "safe_globals", None)
    return allow(safe_globals()) if allow else contextlib.nullcontext()


def _is_torchscript(path: Path) -> bool:
    """Whether a file is an archive with a program in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile, ValueError):
        return False


def _cause(error: Exception) -> str:
    """The reason for which torch refused a file; its own error has it within half a page of advice."""
    text = str(error.__context__ or error).strip()
    match = CLASS.search(text)
    return f"it holds a {match[1]}" if match else re.sub(r"\x1b\[\d*m", "", text.partition("\n")[0])


def _is_state_dict(value: Any) -> bool:
    """Whether a value is a dictionary of tensors by name."""
    import torch

    return (
        isinstance(value, Mapping)
        and bool(set(value) - {COUNTER})
        and all(isinstance(tensor, torch.Tensor) for tensor in value.values())
    )


def _nothing(path: Path, content: Mapping[Any, Any]) -> str:
    """The error about a file without weights."""
    dicts = [value for value in (content, *content.values()) if isinstance(value, Mapping)]
    if any(str(name).endswith("_packed_params") for each in dicts for name in each):
        return f"{path} holds a quantized network, whose weights are packed. Give the weights from before"
    return f"{path} must hold a dictionary of tensors, alone or under a key such as 'state_dict' or 'model'"


def _said(content: Mapping[Any, Any]) -> dict[str, Any]:
    """What a training program says of its network, as arguments of `Checkpoint`."""
    arguments = content.get("args")
    arguments = vars(arguments) if isinstance(arguments, argparse.Namespace) else arguments
    arguments = arguments if isinstance(arguments, Mapping) else {}
    names = (content.get("arch"), arguments.get("model"), arguments.get("arch"))
    said: dict[str, Any] = {"architecture": next((name for name in names if isinstance(name, str)), "")}
    if isinstance(options := arguments.get("model_kwargs"), Mapping):
        said["options"] = dict(options)
    mean, deviation = arguments.get("mean"), arguments.get("std")
    if all(isinstance(values, list | tuple) and len(values) for values in (mean, deviation)):
        said["preprocessing"] = Preprocessing(
            *(tuple(255 * float(value) for value in each) for each in (mean, deviation))
        )
    return said
