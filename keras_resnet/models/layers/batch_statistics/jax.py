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


def train(x, gamma, beta, epsilon: float, *, groups: int, replicas: int):
    """Normalizes images by the statistics of their group.

    Those of float16 and bfloat16 are float32 sums of x and x², which read the images once and make one collective of
    several replicas. Their rounding is below that of such images themselves. Images of float32 are read twice, as
    squares lose the digits of a variance that is small beside the squared mean.

    Args:
        x: [images, …, channels], float16, bfloat16 or float32.
        gamma: float32 [channels].
        beta: float32 [channels].
        epsilon: Added to the variance.
        groups: Number of groups of consecutive images in this replica.
        replicas: Number of consecutive replicas in a group. This or `groups` is 1.

    Returns:
        The normalized images, and the means of the groups' means and biased variances, float32 [channels].
    """
    import jax.numpy as jnp

    parts = x.reshape(groups, x.shape[0] // groups, *x.shape[1:]).astype("float32")
    mean, variance = (_two_passes if x.dtype == "float32" else _one_pass)(parts, replicas)
    outputs = infer(parts, gamma, beta, mean, variance, epsilon).astype(x.dtype).reshape(x.shape)
    return outputs, *(jnp.mean(moment, range(x.ndim)) for moment in (mean, variance))


def _one_pass(parts, replicas: int):
    """Mean and biased variance over all but the first axis and the last, which stay, and over replicas."""
    import jax.numpy as jnp

    mean, squares = _group_mean([_mean(parts), _mean(parts**2)], replicas)
    return mean, jnp.maximum(squares - mean**2, 0.0)


def _two_passes(parts, replicas: int):
    """As `_one_pass`, with another collective."""
    [mean] = _group_mean([_mean(parts)], replicas)
    [variance] = _group_mean([_mean((parts - mean) ** 2)], replicas)
    return mean, variance


def _mean(parts):
    return parts.mean(range(1, parts.ndim - 1), keepdims=True)


def _group_mean(values: list, replicas: int):
    """The means of arrays of one shape over the replicas of a group, which are consecutive, by one collective.

    Its gradient is the mean over the replicas, too: that of the outputs of the whole group, as `jax.shard_map` computes
    it with `check_vma=False`.
    """
    import jax
    import jax.numpy as jnp

    if replicas == 1:
        return values
    everyone = range(count())
    groups = [list(everyone[first : first + replicas]) for first in everyone[::replicas]]
    return jax.lax.pmean(jnp.stack(values), AXIS, axis_index_groups=groups if len(groups) > 1 else None)
