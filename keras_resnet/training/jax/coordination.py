"""JAX's service, by which processes learn of one another's devices; run as a program, it is that service.

    python -m keras_resnet.training.jax.coordination PORT PROCESSES

JAX starts it in process 0, and aborts all others at once when that one ends, whatever they are about to say or save. In
a process of its own it outlives process 0 for a while. JAX has no public function for that: `check` tells whether an
installed version has the private ones that are used here.
"""

from __future__ import annotations

import contextlib
import importlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

FUNCTIONS = "jaxlib._jax"
"""The module of `get_distributed_runtime_client` and `get_distributed_runtime_service`."""
STATE = "jax._src.distributed"
"""The module of `global_state`, which JAX asks for the client when it looks for devices."""
OF_STATE = ("client", "process_id", "num_processes", "coordinator_address")
READY = b"ready\n"
NEVER = 10**6
"""Seconds: what `connections` notices sooner."""
CALLED_WITHIN = 20.0
"""Seconds: the service listens before it is called."""
LINGERS = 30.0
"""Seconds after the end of process 0, in which the others end; see `processes.LEAVES_WITHIN`."""

_services: list[subprocess.Popen] = []
"""What this process has started: each ends when its pipe does."""


def check() -> None:
    """Refuses a version of JAX that joins processes in another way.

    Raises:
        ValueError: naming the version, and what it lacks.
    """
    with _of_this_version():
        _function("client"), _function("service"), _state()


def start(processes: int) -> int:
    """Starts the service for as long as this process lives; returns its port, once it can be called.

    Raises:
        OSError: if it does not start, with its error.
    """
    with socket.create_server(("", 0)) as free:
        port: int = free.getsockname()[1]
    command = [sys.executable, "-m", "keras_resnet.training.jax.coordination", str(port), str(processes)]
    # In a session of its own, so that Ctrl-C does not end it before all others have ended.
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    service = subprocess.Popen(command, **pipes, start_new_session=True)
    assert service.stdout is not None
    if (said := service.stdout.readline()) != READY:
        service.communicate()
        why = said.decode(errors="replace").strip() or f"it ended with status {service.returncode}"
        raise OSError(f"JAX's service for several processes does not start: {why}")
    _services.append(service)
    return port


def join(address: tuple[str, int], index: int, processes: int) -> None:
    """Makes this process one of those whose devices JAX knows; before JAX's first operation.

    Raises:
        ValueError: if this version of JAX joins processes in another way.
        OSError: if the service cannot be reached, where JAX would abort.
    """
    host, port = address
    try:
        socket.create_connection(address, CALLED_WITHIN).close()
    except OSError as error:
        raise OSError(
            f"worker {index} cannot reach JAX's service at {host}:{port}: {error.strerror or error}. It listens on a "
            "free port of the host of worker 0: let the hosts reach one another on all ports"
        ) from error
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    with _of_this_version():
        state = _state()
        client = _function("client")(
            place, index, init_timeout=60, shutdown_timeout=1, heartbeat_timeout=NEVER, shutdown_on_destruction=False
        )
    client.connect()
    state.client, state.process_id, state.num_processes, state.coordinator_address = client, index, processes, place


def serve(port: int, processes: int) -> None:
    """The service, until the process that started it has ended, and a while longer."""
    try:
        with _of_this_version():
            service = _function("service")(f"[::]:{port}", processes, heartbeat_timeout=NEVER)
    except (ValueError, RuntimeError) as error:
        sys.stdout.write(str(error).splitlines()[0])
        return
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()
    sys.stdin.read()
    time.sleep(LINGERS)
    del service


def _function(name: str) -> Callable[..., Any]:
    return getattr(importlib.import_module(FUNCTIONS), f"get_distributed_runtime_{name}")


def _state() -> Any:
    state = importlib.import_module(STATE).global_state
    for name in OF_STATE:
        getattr(state, name)
    return state


@contextlib.contextmanager
def _of_this_version() -> Iterator[None]:
    """Turns what another version of JAX lacks into an error that names the version."""
    try:
        yield
    except (ImportError, AttributeError, TypeError) as error:
        import jax

        why = str(error).splitlines()[0]
        raise ValueError(
            f"this package does not know how JAX {jax.__version__} joins processes ({why}). Install jax==0.10.2, or "
            "train in one process"
        ) from error


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:]))
