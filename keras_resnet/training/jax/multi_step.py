"""Many iterations in one call, on every device.

The host is asked for nothing in between: either one program runs all iterations of a call, or one program after the
other is given to the devices, which work meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.models.layers.replicas import AXIS
from keras_resnet.training.backend import MultiStep
from keras_resnet.training.jax.mesh import in_replicas, placed
from keras_resnet.training.jax.replica import Replica
from keras_resnet.training.jax.variables import Layout, Values, Variables

if TYPE_CHECKING:
    import jax

Read = Callable[[Any, Any], tuple["jax.Array", "jax.Array"]]
"""From what the devices hold and a part of an iteration to the replica's images uint8 [batch, height, width, channels]
and labels int32 [batch]."""


def has_fast_loops(mesh: jax.sharding.Mesh) -> bool:
    """Whether a program may loop over iterations: convolutions in a loop of XLA's are slow on a CPU."""
    return mesh.devices.flat[0].platform != "cpu"


def one_program(
    replica: Replica,
    variables: Variables,
    read: Read,
    held: Any,
    batches: Iterator[Any],
    *,
    steps_per_execution: int,
) -> MultiStep:
    """The function that runs as many iterations as it is given learning rates, all of them in one program.

    Args:
        replica: What every device does.
        variables: What is trained.
        read: Where the images of a part are.
        held: Arrays that all devices hold.
        batches: For each iteration, arrays of NumPy [parts, images, …].
        steps_per_execution: The most iterations in a call, which is compiled once for any number of them.
    """
    import jax
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec

    layout = variables.layout

    def iterations(values: Values, held: Any, batches: Any, rates: jax.Array, steps: jax.Array) -> tuple:
        def one(k: jax.Array, carry: tuple) -> tuple:
            values, losses, misclassified = carry
            batch = jax.tree.map(lambda rows: rows[k], batches)
            values, *more = replica.iteration(values, batch, rates[k], lambda part: read(held, part), unroll=False)
            return values, losses.at[k].set(more[0]), misclassified.at[k].set(more[1])

        empty = jnp.zeros(len(rates)), jnp.zeros(len(rates), jnp.int32)
        values, *results = jax.lax.fori_loop(0, steps, one, (layout.of_replica(values), *empty))
        return layout.to_rows(values), *results

    everywhere, divided = PartitionSpec(), PartitionSpec(None, None, AXIS)
    inputs = (layout.specs, everywhere, divided, everywhere, everywhere)
    outputs = (layout.specs, everywhere, everywhere)
    run = jax.jit(in_replicas(iterations, variables.mesh, inputs, outputs), donate_argnums=0)

    def rows(*iterations: np.ndarray) -> jax.Array:
        return placed(_filled(np.stack(iterations), steps_per_execution), variables.mesh, *divided)

    def call(rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        steps = len(rates)
        given = jax.tree.map(rows, *(next(batches) for _ in range(steps)))
        filled = _filled(rates.astype("float32"), steps_per_execution)
        variables.values, *results = run(variables.values, held, given, filled, np.int32(steps))
        variables.show()
        losses, misclassified = (np.array(result)[:steps] for result in results)
        return losses, misclassified

    return call


def step(replica: Replica, layout: Layout, mesh: jax.sharding.Mesh, read: Read) -> Callable:
    """The compiled function of one iteration, on every device of a mesh, which takes the memory of its values.

    Args:
        replica: What every device does.
        layout: Of the values.
        mesh: The devices; to compile for them, they need not be here.
        read: Where the images of a part are.

    Returns:
        Function of (values; what all devices hold; a list of the parts of the iteration, arrays [images, …]; the
        learning rate) that returns (values, loss, number of misclassified images).
    """
    import jax
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec

    unroll = not has_fast_loops(mesh)

    def iteration(values: Values, held: Any, parts: list, rate: jax.Array) -> tuple:
        batches = jax.tree.map(lambda *rows: jnp.stack(rows), *parts)
        values, *results = replica.iteration(
            layout.of_replica(values), batches, rate, lambda part: read(held, part), unroll=unroll
        )
        return layout.to_rows(values), *results

    everywhere, divided = PartitionSpec(), PartitionSpec(AXIS)
    inputs = (layout.specs, everywhere, divided, everywhere)
    outputs = (layout.specs, everywhere, everywhere)
    return jax.jit(in_replicas(iteration, mesh, inputs, outputs), donate_argnums=0)


def one_by_one(
    replica: Replica,
    variables: Variables,
    read: Read,
    held: Any,
    batches: Iterator[Any],
    *,
    ahead: int,
    started: Callable[[jax.Array], None] = lambda loss: None,
) -> MultiStep:
    """The function that runs as many iterations as it is given learning rates, a program for each.

    Args:
        replica: What every device does.
        variables: What is trained.
        read: Where the images of a part are.
        held: Arrays that all devices hold.
        batches: For each iteration, its parts, arrays on the devices [images, …].
        ahead: The most iterations that the devices are given before they have done them.
        started: Told of each iteration, once it is given to the devices, by the loss that it will have.
    """
    import jax

    run = step(replica, variables.layout, variables.mesh, read)

    def call(rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        results = []
        for done, rate in enumerate(rates.astype("float32")):
            if done >= ahead:
                jax.block_until_ready(results[done - ahead])
            parts = next(batches)
            variables.values, *result = run(variables.values, held, parts, rate)
            started(result[0])
            results.append(result)
        variables.show()
        losses, misclassified = zip(*jax.device_get(results), strict=True)
        return np.array(losses, "float32"), np.array(misclassified, "int32")

    return call


def _filled(rows: np.ndarray, length: int) -> np.ndarray:
    """[length, …]: zeros after the rows."""
    filled = np.zeros((length, *rows.shape[1:]), rows.dtype)
    filled[: len(rows)] = rows
    return filled
