"""Batch statistics on TensorFlow: the fused kernel, on the replicas of `tf.distribute`."""

from __future__ import annotations

from collections.abc import Sequence


def replicas() -> int:
    """Number of replicas of the function that is traced at the moment; 1 outside of `Strategy.run`."""
    import tensorflow as tf

    context = tf.distribute.get_replica_context()  # None where no replica runs
    return context.num_replicas_in_sync if context else 1


def serves(shape: Sequence[int | None], axis: int, *, affine: bool) -> bool:
    """Whether the kernel takes inputs of a shape as they are; `affine`: with gamma and beta."""
    return affine and len(shape) == 4 and axis in (-1, 3)


def infer(x, gamma, beta, mean, variance, epsilon: float):
    """Normalizes [images, height, width, channels] by statistics float32 [channels]."""
    return _normalize(x, gamma, beta, mean, variance, epsilon)


def train(x, gamma, beta, epsilon: float, *, groups: int, replicas: int):
    """Normalizes images by the statistics of their group.

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
    import tensorflow as tf

    if len(x.shape) != 4:
        images = tf.reshape(x, [x.shape[0], -1, 1, x.shape[-1]])
        outputs, *moments = train(images, gamma, beta, epsilon, groups=groups, replicas=replicas)
        return tf.reshape(outputs, tf.shape(x)), *moments
    if replicas > 1:
        return _normalize_over_replicas(x, gamma, beta, epsilon, replicas)
    return _normalize_groups(x, gamma, beta, epsilon, groups)


def _normalize(x, gamma, beta, mean, variance, epsilon: float):
    """Normalizes [images, height, width, channels] by statistics float32 [channels]."""
    import tensorflow as tf

    given = {"mean": mean, "variance": variance, "epsilon": epsilon, "is_training": False}
    return tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, **given)[0]


def _normalize_by_own(x, gamma, beta, epsilon: float):
    """Normalizes [images, height, width, channels] by its own mean and biased variance float32 [channels]."""
    import tensorflow as tf

    outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, epsilon=epsilon)
    size = tf.cast(tf.size(x) // tf.shape(x)[-1], "float32")
    return outputs, mean, variance * ((size - 1.0) / size)


def _normalize_groups(x, gamma, beta, epsilon: float, groups: int):
    """Normalizes each of the groups by its own statistics; returns the means of the groups' statistics as well."""
    import tensorflow as tf

    if groups == 1:
        return _normalize_by_own(x, gamma, beta, epsilon)
    parts = [_normalize_by_own(part, gamma, beta, epsilon) for part in tf.split(x, groups)]
    outputs, means, variances = zip(*parts, strict=True)
    return tf.concat(outputs, 0), tf.add_n(means) / groups, tf.add_n(variances) / groups


def _normalize_over_replicas(x, gamma, beta, epsilon: float, replicas: int):
    """Normalizes by the mean and biased variance over all images of `replicas` replicas.

    The gradients of gamma and beta are those of this replica's outputs, which the training adds up; the gradient of `x`
    is that of the outputs of the whole group.
    """
    import tensorflow as tf

    # The kernel measures faster than sums do, even though its outputs are thrown away.
    _, mean, variance = _normalize_by_own(x, gamma, beta, epsilon)
    size = tf.fill(tf.shape(mean), tf.cast(tf.size(x) // tf.shape(x)[-1], "float32"))
    # A replica without images has no mean.
    sums = [tf.math.multiply_no_nan(moment, size) for moment in (mean, variance + mean**2)]
    total, squares, size = tf.unstack(_group_sum(tf.stack([*sums, size]), replicas))
    mean = total / size
    variance = tf.maximum(squares / size - mean**2, 0.0)

    @tf.custom_gradient
    def normalize(x, gamma, beta):
        def gradient(d_outputs):
            # As if the statistics were constants: gamma / std * d_outputs, and the two sums over this replica.
            d_x, d_gamma, d_beta, _, _ = tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=d_outputs,
                x=x,
                scale=gamma,
                reserve_space_1=mean,
                reserve_space_2=variance,
                reserve_space_3=[],
                epsilon=epsilon,
                is_training=False,
            )
            through_statistics = _group_sum(tf.stack([d_gamma, d_beta]), replicas) / size
            slope, offset = tf.unstack(through_statistics * -gamma * tf.math.rsqrt(variance + epsilon))
            return d_x + _normalize(x, slope, offset, mean, variance, epsilon), d_gamma, d_beta

        return _normalize(x, gamma, beta, mean, variance, epsilon), gradient

    return normalize(x, gamma, beta), mean, variance


def _group_sum(values, replicas: int):
    """The sum of a tensor over the replicas of a group, which are consecutive, by one collective for all groups."""
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    groups = context.num_replicas_in_sync // replicas
    if groups == 1:
        return context.all_reduce("SUM", values)
    group = context.replica_id_in_sync_group // replicas
    # Not multiplied by zero: what overflows in one group would come to the others as NaN.
    own = tf.reshape(tf.range(groups) == group, [groups] + [1] * len(values.shape))
    return tf.gather(context.all_reduce("SUM", tf.where(own, values, 0.0)), group)
