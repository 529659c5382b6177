"""The factor that keeps the gradients of a float16 network between the smallest and the largest of its numbers.

Two arrays of a training's values: the scale, float32, and the iterations since its last change, int32. See
`training.tensorflow.loss_scale`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import jax

SCALE, FINITE_ITERATIONS = "loss_scale/scale", "loss_scale/finite_iterations"
FIRST = 2.0**15
SMALLEST = 2.0**-14
GROWS_AFTER = 2000
"""Iterations without an overflow before the scale is doubled."""


def first() -> dict[str, np.ndarray]:
    """What a training begins with."""
    return {SCALE: np.float32(FIRST)[...], FINITE_ITERATIONS: np.zeros((), "int32")}


def adjusted(scale: jax.Array, finite_iterations: jax.Array, finite: jax.Array) -> dict[str, jax.Array]:
    """Both after an iteration whose summed gradients were finite or not: halved at an overflow, doubled after a while.

    Reference:
        Micikevicius et al., 2018, "Mixed precision training", Section 3.2.
    """
    import jax.numpy as jnp

    count = jnp.where(finite, finite_iterations + 1, 0)
    grows = count >= GROWS_AFTER
    factor = jnp.where(finite, jnp.where(grows, 2.0, 1.0), 0.5)
    return {SCALE: scale * factor, FINITE_ITERATIONS: jnp.where(grows, 0, count)}
