"""The replicas of a training on JAX: devices that run the same program under `jax.shard_map`, each on its images."""

from __future__ import annotations

AXIS = "data"
"""The name of the axis of the mesh over which images are divided."""


def count() -> int:
    """Number of replicas of the function that JAX traces at the moment; 1 outside of `jax.shard_map`."""
    import jax

    try:
        return int(jax.lax.axis_size(AXIS))
    except NameError:  # no axis of that name
        return 1
