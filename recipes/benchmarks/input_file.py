"""The file of what `benchmark.py input` measured, which `preflight.py` reads."""

from __future__ import annotations

import json
from pathlib import Path

SPEED = "input_images_per_second"
"""Of the whole input."""


def speed(file: Path) -> float:
    """Images a second that a host brings.

    Raises:
        OSError: if there is no such file.
        ValueError: if it is another.
    """
    try:
        found = json.loads(file.read_bytes())[SPEED]
        if isinstance(found, int | float) and not isinstance(found, bool) and found > 0:
            return float(found)
    except (ValueError, KeyError, TypeError):
        pass
    raise ValueError(f"`host_input` must be a file that recipes/benchmark.py input --json wrote. Received: {file}")
