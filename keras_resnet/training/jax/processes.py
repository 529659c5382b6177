"""The processes of a training on JAX, and what they tell one another."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from keras_resnet.host.signals import STATUSES, Stopped
from keras_resnet.training.backend import WorkerLostError
from keras_resnet.training.jax.connections import Connections

if TYPE_CHECKING:
    import jax

OF_RUNTIME = re.compile("(UNKNOWN|UNAVAILABLE|ABORTED|INTERNAL|DEADLINE_EXCEEDED|CANCELLED|FAILED_PRECONDITION): ")
"""Beginning of the errors of JAX's runtime that a lost process can cause."""
CONFIRMED_WITHIN = 10.0
"""Seconds after such an error in which a lost process is known."""
LEAVES_WITHIN = 20.0
"""Seconds after the loss of a process; a device that waits for it any longer will wait for ever."""


JOINS_WITHIN = 2.0
"""The same before there are devices, when an error of this process's own is on its way at most."""


class MeshProcesses:
    """The processes of a mesh; see `Processes`.

    Args:
        mesh: The devices of all processes.
        connections: To the other processes; None if there are none.
        count: Number of processes.
    """

    def __init__(self, mesh: jax.sharding.Mesh, connections: Connections | None = None, count: int = 1):
        self.mesh = mesh
        self.connections = connections
        self.count = count
        self._depth = 0
        self._failed = False
        self._left = threading.Event()
        if connections:
            connections.when_lost(self._leave)

    @property
    def is_chief(self) -> bool:
        return self.connections is None or self.connections.index == 0

    @property
    def replicas(self) -> int:
        return self.mesh.size

    @property
    def devices(self) -> Sequence[str]:
        import jax

        return [f"{device} ({device.device_kind}), JAX {jax.__version__}" for device in self.mesh.local_devices]

    def broadcast(self, message: bytes | None) -> bytes:
        return self.connections.broadcast(message) if self.connections else message or b""

    def maximum(self, values: Sequence[float]) -> list[float]:
        values = [float(value) for value in values]
        return self.connections.maximum(values) if self.connections else values

    @contextlib.contextmanager
    def naming_lost_workers(self) -> Iterator[None]:
        """Turns those of JAX's errors that come with the loss of a process into a `WorkerLostError`.

        When the outermost of these contexts ends, this process has done its part, or is lost to the others: if an error
        came through that they need not have.
        """
        if self.connections is None:
            yield
            return
        self._depth += 1
        try:
            yield
        except BaseException as error:
            # A loss that is not finite, and a stop, come to all at the same time.
            self._failed = self._failed or not isinstance(error, Stopped | ArithmeticError)
            of_runtime = isinstance(error, ValueError | RuntimeError) and OF_RUNTIME.match(str(error))
            if of_runtime and self.connections.is_lost_within(CONFIRMED_WITHIN):
                raise WorkerLostError(str(self.connections.lost)) from error
            raise
        finally:
            self._depth -= 1
            if not self._depth:
                self._left.set()
                self.connections.close(failed=self._failed)

    def _leave(self, lost: str) -> None:
        """Ends this process if it does not do so by itself: nothing can call a thread back that waits for a device."""
        if self._depth and not self._left.wait(LEAVES_WITHIN):
            _end(lost)


@contextlib.contextmanager
def joining(connections: Connections) -> Iterator[None]:
    """Ends this process if another one is lost while JAX makes all of them known to one another.

    JAX would wait for minutes, and then abort.

    Raises:
        Exception: what came through, after the others were told that this process is gone.
    """
    joined = threading.Event()
    connections.when_lost(lambda lost: None if joined.wait(JOINS_WITHIN) else _end(lost))
    try:
        yield
    except BaseException:
        connections.close(failed=True)
        raise
    finally:
        joined.set()


def _end(lost: str) -> None:
    text = f"error: {lost}. To continue from the last checkpoint, start all workers again with `resume=True`\n"
    sys.stderr.write(text)
    sys.stderr.flush()
    os._exit(STATUSES[signal.SIGTERM])
