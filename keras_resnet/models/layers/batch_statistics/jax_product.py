"""A product of images and a matrix, normalized on JAX by statistics that are computed from the images alone."""

from __future__ import annotations

import functools
from collections.abc import Callable


def grouped_normalized_product(h, w, gamma, beta, epsilon: float, groups: int):
    """`normalized_product` of each group of consecutive images; the moments are the means of theirs."""
    import jax

    if groups == 1:
        return normalized_product()(h, w, gamma, beta, epsilon)
    parts = h.reshape(groups, h.shape[0] // groups, *h.shape[1:])
    outputs, *moments = jax.vmap(lambda part: normalized_product()(part, w, gamma, beta, epsilon))(parts)
    return outputs.reshape(*h.shape[:-1], w.shape[-1]), *(moment.mean(0) for moment in moments)


@functools.cache
def normalized_product() -> Callable:
    """Function of (h, w, gamma, beta, epsilon) that normalizes z = h w by its mean and biased variance.

    h is bfloat16 [images, height, width, channels], w bfloat16 [channels, outputs], gamma and beta are float32
    [outputs]. It returns the normalized z, bfloat16, and its mean and variance, float32 [outputs], which have no
    gradient.

    With m = mean(h) and C = mean(hᵀh) - mᵀm, the mean of z is m w and its variance is diag(wᵀ C w). Backward, with d
    the gradient of the normalized z, the sum of d ∘ z is that of w ∘ (hᵀd). The gradient of z is a ∘ d + b ∘ z + c with
    a, b and c for each output, and those of h and w are products of d and h with small matrices: z is never read.
    """
    import jax
    import jax.numpy as jnp

    exactly = functools.partial(jnp.matmul, precision="float32")

    def product(x, matrix):
        """At each position, bfloat16; a convolution of 1x1, which compilers unite with what comes before and after."""
        dimensions = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}
        return jax.lax.conv_general_dilated(x, matrix[None, None].astype(x.dtype), (1, 1), "VALID", **dimensions)

    def mean_product(x, y):
        """The mean of xᵀy over all positions, float32 [channels of x, channels of y]."""
        positions = ((0, 1, 2), (0, 1, 2))
        sums = jax.lax.dot_general(x, y, (positions, ((), ())), preferred_element_type=jnp.float32)
        return sums / (x.size // x.shape[-1])

    def mean(x):
        return jnp.mean(x.astype("float32"), (0, 1, 2))

    def forward(h, w, gamma, beta, epsilon):
        matrix, squares, mean_h = w.astype("float32"), mean_product(h, h), mean(h)
        mean_z = exactly(mean_h, matrix)
        covariance = squares - mean_h[:, None] * mean_h
        variance = jnp.maximum(jnp.sum(matrix * exactly(covariance, matrix), 0), 0.0)
        deviation = jnp.sqrt(variance + epsilon)
        outputs = (product(h, w).astype("float32") - mean_z) * (gamma / deviation) + beta
        kept = h, w, gamma, squares, mean_h, mean_z, deviation
        return (outputs.astype(h.dtype), mean_z, variance), kept

    def backward(epsilon, kept, gradients):
        h, w, gamma, squares, mean_h, mean_z, deviation = kept
        d, _, _ = gradients
        matrix, positions = w.astype("float32"), h.size // h.shape[-1]
        mean_d, mean_hd = mean(d), mean_product(h, d)
        mean_dz = jnp.sum(matrix * mean_hd, 0) - mean_z * mean_d  # of d and z from its mean
        a = gamma / deviation
        b = -a * mean_dz / deviation**2
        c = -a * mean_d - b * mean_z
        d_w = mean_hd * a + exactly(squares, matrix * b) + mean_h[:, None] * c
        d_h = product(d, (matrix * a).T).astype("float32") + product(h, exactly(matrix * b, matrix.T))
        d_h = d_h + exactly(matrix, c)
        d_gamma, d_beta = mean_dz / deviation, mean_d
        return d_h.astype(h.dtype), (d_w * positions).astype(w.dtype), d_gamma * positions, d_beta * positions

    @functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
    def normalized(h, w, gamma, beta, epsilon):
        return forward(h, w, gamma, beta, epsilon)[0]

    normalized.defvjp(forward, backward)
    return normalized
