"""Ports for processes that tests start."""

from __future__ import annotations

import contextlib
import random
import socket


def free_ports(count: int) -> list[int]:
    """Ports that nobody has, below those that the system gives to callers."""
    found: list[int] = []
    for port in random.SystemRandom().sample(range(20_000, 30_000), 200):
        with contextlib.suppress(OSError), socket.create_server(("", port)):
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free ports")
