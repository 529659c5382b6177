"""Batch statistics on JAX: sums of one pass over the images, on the replicas of `jax.shard_map`."""

from __future__ import annotations

from collections.abc import Sequence

from keras_resnet.models.layers.replicas import AXIS, count


def replicas() -> int:
    """Number of replicas of the function that is traced at the moment; 1 outside of `jax.shard_map`."""
    return count()


def serves(shape: Sequence[int | None], axis: int, *, affine: bool) -> bool:
    """Whether inputs of a shape are served: all are."""
    return True


def infer(x, gamma, beta, mean, variance, epsilon: float):
    """Normalizes [images, …, channels] by statistics float32 [channels]."""
    import jax

    return ((x.astype("float32") - mean) * (gamma * jax.lax.rsqrt(variance + epsilon)) + beta).astype(x.dtype)


def train(x, gamma, beta, moving_mean, epsilon: float, *, groups: int, replicas: int):
    """Normalizes images by the statistics of their group.

    Mean and variance come from float32 sums of x - s and (x - s)², which read the images once. The shift s is the
    moving mean: near the mean, the squares lose no digits.

    Args:
        x: [images, …, channels], float16, bfloat16 or float32.
        gamma: float32 [channels].
        beta: float32 [channels].
        moving_mean: float32 [channels]; the result does not depend on it, except for rounding.
        epsilon: Added to the variance.
        groups: Number of groups of consecutive images in this replica.
        replicas: Number of consecutive replicas in a group. This or `groups` is 1.

    Returns:
        The normalized images, and the means of the groups' means and biased variances, float32 [channels].
    """
    import jax
    import jax.numpy as jnp

    parts = x.reshape(groups, x.shape[0] // groups, *x.shape[1:]).astype("float32")
    shift = jax.lax.stop_gradient(moving_mean)
    shift = _group_mean(shift, replicas) if replicas > 1 else shift
    shifted = parts - shift
    moments = [jnp.mean(values, range(1, x.ndim), keepdims=True) for values in (shifted, shifted**2)]
    shifted_mean, squares = _group_mean(jnp.stack(moments), replicas) if replicas > 1 else moments
    variance = jnp.maximum(squares - shifted_mean**2, 0.0)
    mean = shift + shifted_mean
    outputs = infer(parts, gamma, beta, mean, variance, epsilon).astype(x.dtype).reshape(x.shape)
    return outputs, *(jnp.mean(moment, range(x.ndim)) for moment in (mean, variance))


def _group_mean(values, replicas: int):
    """The mean over the replicas of a group, which are consecutive.

    Its gradient is the mean over the replicas, too: that of the outputs of the whole group, as `jax.shard_map` computes
    it with `check_vma=False`.
    """
    import jax

    everyone = range(count())
    groups = [list(everyone[first : first + replicas]) for first in everyone[::replicas]]
    return jax.lax.pmean(values, AXIS, axis_index_groups=groups if len(groups) > 1 else None)
