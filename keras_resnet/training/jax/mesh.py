"""The devices that train, as a mesh of one axis: each has its share of the images, all have the same weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.models.layers.replicas import AXIS

if TYPE_CHECKING:
    import jax


def mesh_of(devices: Sequence[jax.Device]) -> jax.sharding.Mesh:
    """The mesh over devices, whose order is that of the images in an iteration."""
    import jax

    # JAX's own function would make the axis explicit, which types every array by where it lies.
    return jax.sharding.Mesh(np.array(devices), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,))


def placed(array: np.ndarray, mesh: jax.sharding.Mesh, *axes: str | None) -> jax.Array:
    """An array that every process has, on the devices of a mesh.

    Args:
        array: The same in every process.
        mesh: The devices.
        *axes: The axis of the mesh that divides each axis of the array; none: every device has all of it.
    """
    import jax

    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes))
    # `device_put` would compare the array with that of the other processes.
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def in_replicas(function: Callable, mesh: jax.sharding.Mesh, inputs: object, outputs: object) -> Callable:
    """A function that runs on every device of a mesh, on that device's part of the inputs.

    What is shared among devices is what the function itself sums over `AXIS`: the gradient of a sum is the sum of
    the gradients, and the gradients of weights are those of this device's images. JAX's check of what varies between
    devices would sum them by itself; it is off, so that they are summed once.

    Args:
        function: Of arrays.
        mesh: The devices.
        inputs: How its arguments are divided, as `jax.shard_map` takes it.
        outputs: How its results are put together.
    """
    import jax

    return jax.shard_map(function, mesh=mesh, in_specs=inputs, out_specs=outputs, check_vma=False)
