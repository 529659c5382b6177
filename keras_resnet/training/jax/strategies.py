"""The devices that train, by the name that a run gives them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from keras_resnet.training.jax.mesh import mesh_of
from keras_resnet.training.jax.processes import MeshProcesses


def one_device() -> MeshProcesses:
    """The first device of this process."""
    import jax

    return MeshProcesses(mesh_of(jax.local_devices()[:1]))


def mirrored(replicas: int | None = None) -> MeshProcesses:
    """The devices of this host.

    Args:
        replicas: Devices to use; of a CPU, the parts into which it is divided, unless JAX has begun. Defaults to all.

    Raises:
        ValueError: if there are fewer.
    """
    import jax

    if replicas and "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):  # JAX has begun
            jax.config.update("jax_num_cpu_devices", replicas)
    devices = jax.local_devices()
    if replicas and replicas > len(devices):
        raise ValueError(
            f"`replicas` must be at most the {len(devices)} devices of JAX. Received: replicas={replicas}. A CPU can be "
            "divided before JAX begins"
        )
    return MeshProcesses(mesh_of(devices[:replicas]))


STRATEGIES: dict[str, Callable[[int | None, float], MeshProcesses]] = {
    "one_device": lambda replicas, timeout: one_device(),
    "mirrored": lambda replicas, timeout: mirrored(replicas),
}
"""Strategies by the name that a run gives them, from (replicas, seconds to wait)."""
