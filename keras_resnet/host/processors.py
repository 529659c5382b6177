"""How many cores there are for this process."""

from __future__ import annotations

import os


def count() -> int:
    """The cores that this process may use, which a scheduler or a container may have made fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
