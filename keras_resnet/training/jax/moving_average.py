"""The exponential moving average of everything that a network learns: its weights and its batch statistics.

The averages are arrays of a training's values beside those of the network; see `training.tensorflow.moving_average`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import jax

MODEL, AVERAGE = "model/", "average/"

Value = TypeVar("Value")


def of(name: str) -> str:
    """The name of the average of a variable of the network."""
    return AVERAGE + name.removeprefix(MODEL)


def averaged(names: Iterable[str]) -> list[str]:
    """The variables of the network that have an average among some names."""
    names = set(names)
    return sorted(name for name in names if name.startswith(MODEL) and of(name) in names)


def followed(values: Mapping[str, jax.Array], iteration: jax.Array, momentum: float) -> dict[str, jax.Array]:
    """The averages after an iteration.

    Args:
        values: Of the training, after the update.
        iteration: int scalar; iterations done, t. The momentum is the smaller of `momentum` and (1 + t) / (10 + t).
        momentum: Share of the old average, in [0, 1).
    """
    import jax.numpy as jnp

    done = iteration.astype(jnp.float32)
    share = 1.0 - jnp.minimum(momentum, (1.0 + done) / (10.0 + done))
    return {
        of(name): values[of(name)] + (share * (values[name] - values[of(name)])).astype(values[name].dtype)
        for name in averaged(values)
    }


def exchanged(values: Mapping[str, Value]) -> dict[str, Value]:
    """The values with the network's and their averages in each other's place."""
    pairs = averaged(values)
    return {**values, **{name: values[of(name)] for name in pairs}, **{of(name): values[name] for name in pairs}}
