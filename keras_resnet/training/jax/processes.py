"""The processes of a training on JAX, and what they tell one another."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jax


@dataclass(frozen=True)
class MeshProcesses:
    """The processes of a mesh; see `Processes`.

    Args:
        mesh: The devices of all processes.
    """

    mesh: jax.sharding.Mesh
    count = 1
    is_chief = True

    @property
    def replicas(self) -> int:
        return self.mesh.size

    @property
    def devices(self) -> Sequence[str]:
        import jax

        return [f"{device} ({device.device_kind}), JAX {jax.__version__}" for device in self.mesh.local_devices]

    def broadcast(self, message: bytes | None) -> bytes:
        return message or b""

    def maximum(self, values: Sequence[float]) -> list[float]:
        return [float(value) for value in values]

    def naming_lost_workers(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()
