"""The environment of a run: command, commit, versions and devices."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import keras_resnet

DISTRIBUTIONS = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "jax": ("jax",), "keras": ("keras",)}
"""The packages whose versions are recorded, and the distributions that may carry them."""


def environment(devices: Iterable[str] = (), **more: Any) -> dict[str, Any]:
    """The environment in which a run starts, fit for JSON.

    Args:
        devices: The names of the devices that compute.
        **more: Further entries, such as `per_replica_batch_size`.
    """
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.orig_argv),
        "commit": commit(),
        "python": platform.python_version(),
        "keras_resnet": keras_resnet.__version__,
        **{package: version(package) for package in DISTRIBUTIONS},
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "devices": list(devices),
        **more,
    }


def version(package: str) -> str | None:
    """The installed version of a package, without importing it; `None` if it is not installed."""
    for distribution in DISTRIBUTIONS[package]:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None


def commit() -> str | None:
    """The commit of this source, with `-dirty` if files were changed since; `None` outside its own repository."""
    here = Path(__file__)

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        # An installed copy may lie within somebody else's repository, whose commit says nothing about it.
        git("ls-files", "--error-unmatch", here.name)
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*") or None
    except (OSError, subprocess.SubprocessError):
        return None
