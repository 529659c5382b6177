"""The devices of a slice as `libtpu` describes them, on a machine that has none of them."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from keras_resnet.facts.tpus import Slice
from keras_resnet.host import native_stderr

if TYPE_CHECKING:
    from jax.sharding import Mesh

ALONE: Mapping[str, str] = {
    # libtpu takes a lock as if there were a chip, which a second process does not get.
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    # Without these it looks for them on the machine, and writes that it has not found them.
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "TPU_SKIP_MDS_QUERY": "1",
}
"""The environment in which libtpu only compiles."""


def require() -> None:
    """Refuses to go on without what compiles for a TPU.

    Raises:
        ModuleNotFoundError: naming what is not installed.
    """
    for name in ("jax", "libtpu"):
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def mesh(chips: Slice, axis: str) -> Mesh:
    """A mesh of one axis over all devices of a slice, for which JAX compiles, though they are not there.

    Args:
        chips: The slice.
        axis: The name of the axis.

    Raises:
        ModuleNotFoundError: if JAX or libtpu is not installed.
        ValueError: if this version of libtpu does not know the slice.
    """
    require()
    import numpy as np
    from jax.sharding import Mesh

    described = devices(chips)
    counted, expected = len(described), chips.devices
    if counted != expected:
        raise ValueError(
            f"`topology` must be a slice of {expected} devices. Received: topology={chips.name!r}, of which libtpu "
            f"{version()} has {counted}. Install another version of libtpu"
        )
    return Mesh(np.array(described), (axis,))


def devices(chips: Slice) -> list[Any]:
    """The devices of a slice, as `jax.Device`s that can be compiled for."""
    import jax
    from jax.experimental import topologies

    generation = chips.generation
    bounds = (*chips.host, 1, 1)[:3]
    with quiet(), environment(ALONE):
        try:
            described = topologies.get_topology_desc(
                platform="tpu",
                topology_name=chips.name,
                chip_config_name=generation.configuration,
                chips_per_host_bounds=bounds,
            )
        except (jax.errors.JaxRuntimeError, RuntimeError) as error:
            raise ValueError(
                f"`topology` must be a slice that libtpu {version()} knows. Received: topology={chips.name!r}, to "
                f"which it says: {first_line(error)}. Install another version of libtpu, or choose another slice"
            ) from error
    return list(described.devices)


def version() -> str:
    """Of libtpu."""
    try:
        return importlib.metadata.version("libtpu")
    except importlib.metadata.PackageNotFoundError:
        return "(of unknown version)"


def first_line(error: object) -> str:
    """What an error of a library says first."""
    return str(error).strip().partition("\n")[0].rstrip(".")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps what libraries write on standard error below Python, and shows it after an error that is not ours."""
    notes: list[str] = []
    try:
        with native_stderr.captured() as notes:
            yield
    except ValueError:
        raise
    except BaseException:
        native_stderr.write(notes)
        raise


@contextlib.contextmanager
def environment(defaults: Mapping[str, str]) -> Iterator[None]:
    """Sets what is not set in the environment, for the block."""
    absent = {name: value for name, value in defaults.items() if name not in os.environ}
    os.environ.update(absent)
    try:
        yield
    finally:
        for name in absent:
            os.environ.pop(name, None)
