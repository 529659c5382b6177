"""The backends of Keras that each program runs on."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from cli import refusal

TENSORFLOW = ("tensorflow",)
TRAINING = ("tensorflow", "jax")
NETWORKS = ("tensorflow", "jax", "torch")

PROGRAMS: dict[str, tuple[str, ...] | None] = {
    "benchmark": TENSORFLOW,
    "convert": NETWORKS,
    "departures": None,
    "evaluate": NETWORKS,
    "explain": NETWORKS,
    "export": None,
    "input_speed": TENSORFLOW,
    "layer_responses": NETWORKS,
    "mistakes": NETWORKS,
    "model_card": None,
    "precise_bn": TENSORFLOW,
    "predict": NETWORKS,
    "preflight": None,
    "prepare_imagenet": None,
    "report": None,
    "reproduce": None,
    "summarize": NETWORKS,
    "train": TRAINING,
    "tune": TRAINING,
}
"""Backends by the file of the program; None where Keras computes nothing, or with a backend that
the program chooses itself, whatever is set."""


def check(program: str) -> None:
    """Refuses a backend that a program does not run on, or that is not installed, before anything is loaded.

    Args:
        program: A key of `PROGRAMS`; any other runs on every backend.

    Raises:
        ValueError: naming the backends that it runs on.
    """
    known, name = PROGRAMS.get(program), chosen()
    if known is None:
        return
    if name not in known:
        raise ValueError(
            f"{program} runs on the backend {' or '.join(known)} of Keras. Received: KERAS_BACKEND={name}. "
            f"Set KERAS_BACKEND={known[0]} for it"
        )
    if not importlib.util.find_spec(name):
        raise ValueError(f"{name} is not installed. {refusal.install('recipes', 'backends')}")


def program_of(work: Callable) -> str:
    """The name of the file that a program's function is in."""
    return Path(work.__code__.co_filename).stem


def chosen() -> str:
    """The backend that Keras has, or will have once it is imported."""
    if keras := sys.modules.get("keras"):
        return keras.config.backend()
    return os.environ.get("KERAS_BACKEND") or _configured() or "tensorflow"


def _configured() -> str | None:
    """The backend in the file that Keras reads."""
    file = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras.json"
    try:
        return json.loads(file.read_text()).get("backend")
    except (OSError, ValueError, AttributeError):
        return None
