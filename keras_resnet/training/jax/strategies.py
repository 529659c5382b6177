"""The devices that train, by the name that a run gives them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.models.layers.replicas import AXIS
from keras_resnet.training.jax import clusters, connections, coordination, processes
from keras_resnet.training.jax.clusters import Place
from keras_resnet.training.jax.mesh import in_replicas, mesh_of, placed
from keras_resnet.training.jax.processes import MeshProcesses

if TYPE_CHECKING:
    import jax


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
            f"`replicas` must be at most the {len(devices)} devices that JAX has here. Received: replicas={replicas}"
        )
    return MeshProcesses(mesh_of(devices[:replicas]))


def multi_process(timeout: float = 300.0, environment: Mapping[str, str] = os.environ) -> MeshProcesses:
    """The devices of several processes, on one host or many; see `clusters` for how they are found.

    Args:
        timeout: Seconds to wait for the other processes.
        environment: Variables that tell of them.

    Raises:
        ValueError: if the environment tells nothing, or nonsense, or if another process does not agree with it.
        TimeoutError: if a process did not join; names it.
    """
    return _joined(clusters.find(environment), timeout)


def tpu(timeout: float = 300.0, environment: Mapping[str, str] = os.environ) -> MeshProcesses:
    """All chips of the TPU slice that this host is a part of, with a process on each of its hosts.

    Raises:
        ValueError: if there is none.
        TimeoutError: if a process did not join; names it.
    """
    import jax

    place = clusters.of_tpu(environment)
    slice_ = _joined(place, timeout) if place and place.count > 1 else None
    if jax.default_backend() != "tpu":
        raise ValueError(
            "The strategy 'tpu' needs a TPU: run it on every host of a TPU slice, with the libtpu wheel. JAX has "
            f"{jax.default_backend()} here"
        )
    return slice_ or mirrored()


def detect(environment: Mapping[str, str] = os.environ) -> str:
    """What `auto` stands for here: the most that this process can see.

    `tpu` where there is one; `multi_process` where the environment tells of other processes; `mirrored` with several
    accelerators; `one_device` otherwise, also on a CPU, which is never divided unasked.
    """
    if clusters.has_tpu(environment):
        return "tpu"
    if clusters.tells(environment):
        return "multi_process"
    import jax

    return "mirrored" if jax.default_backend() != "cpu" and jax.local_device_count() > 1 else "one_device"


STRATEGIES: dict[str, Callable[[int | None, float], MeshProcesses]] = {
    "one_device": lambda replicas, timeout: one_device(),
    "mirrored": lambda replicas, timeout: mirrored(replicas),
    "multi_process": lambda replicas, timeout: multi_process(timeout),
    "tpu": lambda replicas, timeout: tpu(timeout),
    "auto": lambda replicas, timeout: STRATEGIES[detect()](replicas, timeout),
}
"""Strategies by the name that a run gives them, from (replicas, seconds to wait)."""


def _joined(place: Place, timeout: float) -> MeshProcesses:
    """The devices of all processes, once they have met.

    Raises:
        ValueError: if processes have different numbers of devices, or JAX joins them in another way.
        TimeoutError: if a process did not join; names it.
        OSError: if JAX's service does not start, or cannot be reached.
        WorkerLostError: if a process is gone before all have devices.
    """
    coordination.check()
    if place.index:
        joined, port = connections.worker(place.address, place.index, place.count, timeout=timeout)
    else:

        def begin() -> bytes:
            return str(coordination.start(place.count)).encode()

        joined, port = connections.chief(place.address[1], place.count, timeout=timeout, begin=begin)
    with processes.joining(joined):
        coordination.join((place.address[0], int(port)), place.index, place.count)
        return MeshProcesses(_mesh_of_all(joined), joined, place.count)


def _mesh_of_all(joined: connections.Connections) -> jax.sharding.Mesh:
    """The mesh over the devices of all processes, as many of each."""
    import jax
    from jax.sharding import PartitionSpec

    here = jax.local_device_count()
    fewest, most = joined.maximum([-here, here])
    if -fewest != most:
        raise ValueError(
            f"all workers must have as many devices. Worker {joined.index} has {here}; one has {-fewest:.0f}, one "
            f"{most:.0f}. Show as many to each, by CUDA_VISIBLE_DEVICES for instance"
        )
    mesh = mesh_of(jax.devices())
    # The first sum over processes fails unless all begin it within 30 s. Here they have just met; later, one may be
    # busy with its images or its compiler.
    total = jax.jit(in_replicas(lambda ones: jax.lax.psum(ones, AXIS), mesh, PartitionSpec(AXIS), PartitionSpec()))
    jax.block_until_ready(total(placed(np.ones(mesh.size, "int32"), mesh, AXIS)))
    return mesh
