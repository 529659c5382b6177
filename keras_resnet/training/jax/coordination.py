"""JAX's service, by which processes learn of one another's devices; run as a program, it is that service.

    python -m keras_resnet.training.jax.coordination PORT PROCESSES

JAX starts it in process 0, and aborts all others at once when that one ends, whatever they are about to say or save. In
a process of its own it outlives process 0 for a while. JAX has no public function for that.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time

NEVER = 10**6
"""Seconds: what `connections` notices sooner."""
LINGERS = 30.0
"""Seconds after the end of process 0, in which the others end; see `processes.LEAVES_WITHIN`."""


def start(processes: int) -> int:
    """Starts the service for as long as this process lives; returns its port, once it can be called."""
    with socket.create_server(("", 0)) as free:
        port: int = free.getsockname()[1]
    command = [sys.executable, "-m", "keras_resnet.training.jax.coordination", str(port), str(processes)]
    # In a session of its own, so that Ctrl-C does not end it before all others have ended.
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    service = subprocess.Popen(command, **pipes, start_new_session=True)
    assert service.stdout is not None
    if service.stdout.readline() != b"ready\n":
        raise OSError(f"JAX's service does not start: {' '.join(command)} ended with status {service.wait()}")
    return port


def join(address: str, index: int, processes: int) -> None:
    """Makes this process one of those whose devices JAX knows; before JAX's first operation."""
    from jax._src import distributed
    from jax._src.lib import _jax

    client = _jax.get_distributed_runtime_client(
        address, index, init_timeout=60, shutdown_timeout=1, heartbeat_timeout=NEVER, shutdown_on_destruction=False
    )
    client.connect()
    state = distributed.global_state
    state.client, state.process_id, state.num_processes, state.coordinator_address = client, index, processes, address


def serve(port: int, processes: int) -> None:
    """The service, until the process that started it has ended, and a while longer."""
    from jax._src.lib import _jax

    service = _jax.get_distributed_runtime_service(f"[::]:{port}", processes, heartbeat_timeout=NEVER)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    time.sleep(LINGERS)
    del service


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:]))
