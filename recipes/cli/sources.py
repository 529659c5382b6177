"""The networks that a command line names, as far as can be seen without reading one."""

from __future__ import annotations

from pathlib import Path

from keras_resnet.runs.directory import RunDirectory

NAMES = ("network", "source", "sources", "ensemble")
"""The arguments of programs that are a network, or several."""


def check(options: object) -> None:
    """Refuses what is not there, and the directory of a run without a network.

    Programs whose argument is a path look for themselves, as they may take more.

    Args:
        options: Of any program.

    Raises:
        FileNotFoundError: naming what is missing.
    """
    for name in NAMES:
        named = getattr(options, name, ())
        for word in named if isinstance(named, tuple) else (named,):
            if not isinstance(word, str):
                continue
            source = Path(word)
            if source.is_dir():
                RunDirectory(source).require_network()
            elif not source.exists():
                raise FileNotFoundError(f"There is no file or directory {source}")
