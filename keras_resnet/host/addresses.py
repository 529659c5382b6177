"""Addresses of processes on other hosts, and the ports that this one listens on."""

from __future__ import annotations

import re
import socket

ENDPOINT = re.compile(r"(?:\[([^\[\]]+)\]|([^\[\]:/]+)):(\d{1,5})")


def endpoint(text: str) -> tuple[str, int] | None:
    """The host and the port of `"host:port"` or `"[address]:port"`; None of anything else."""
    match = ENDPOINT.fullmatch(text)
    if not match or not 0 < int(match[3]) < 2**16:
        return None
    return match[1] or match[2], int(match[3])


def server(port: int) -> socket.socket:
    """A socket that listens on a port of all interfaces, for IPv4 and for IPv6 where there is any.

    Raises:
        OSError: as the system says it.
    """
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
    return socket.create_server(("", port), backlog=128)
