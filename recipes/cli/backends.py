"""The backends of Keras that each program runs on."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from cli import refusal

TRAINING = ("tensorflow", "jax")
NETWORKS = ("tensorflow", "jax", "torch")

PROGRAMS: dict[str, tuple[str, ...] | None] = {
    "benchmark": TRAINING,
    "convert": NETWORKS,
    "departures": None,
    "evaluate": NETWORKS,
    "explain": NETWORKS,
    "export": None,
    "input_speed": TRAINING,
    "layer_responses": NETWORKS,
    "mistakes": NETWORKS,
    "model_card": None,
    "precise_bn": TRAINING,
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
    known = PROGRAMS.get(program)
    choose(known or NETWORKS)
    if known is None:
        return
    name = chosen()
    if name not in known:
        raise ValueError(
            f"{program} runs on the backend {' or '.join(known)} of Keras. Received: KERAS_BACKEND={name}. "
            f"Set KERAS_BACKEND={known[0]} for it"
        )
    installed = [one for one in known if importlib.util.find_spec(one)]
    if name in installed:
        return
    remedy = f"Set KERAS_BACKEND={installed[0]}, which is. " if installed else ""
    what = f"{name} is not installed" if installed or _was_chosen() else f"None of {', '.join(known)} is installed"
    raise ValueError(f"{what}. {remedy}{refusal.install('recipes', name)}")


def choose(known: tuple[str, ...]) -> None:
    """Sets the backend to the first of a program's that is installed, where TensorFlow is not and nobody chose one.

    So a program needs no variable where its only engine is JAX, and the programs that it starts have the same.
    """
    installed = [name for name in known if importlib.util.find_spec(name)]
    if installed and not _was_chosen() and not importlib.util.find_spec("tensorflow"):
        os.environ["KERAS_BACKEND"] = installed[0]


def _was_chosen() -> bool:
    """Whether somebody chose the backend; TensorFlow in Keras's file is what Keras itself writes there at first."""
    configured = _configured() not in (None, "tensorflow")
    return "keras" in sys.modules or bool(os.environ.get("KERAS_BACKEND")) or configured


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
