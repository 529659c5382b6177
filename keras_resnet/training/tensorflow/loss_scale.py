"""The factor that keeps the gradients of a float16 network between the smallest and the largest of its numbers."""

from __future__ import annotations

import keras
import tensorflow as tf

FIRST = 2.0**15
SMALLEST = 2.0**-14
GROWS_AFTER = 2000
"""Iterations without an overflow before the scale is doubled."""


class LossScale:
    """A scale that halves when a gradient overflows and doubles after a while without.

    Made, like the network, in the scope of the strategy. The scale is the same on all replicas, as what decides about
    it is: whether the gradient that was summed over all of them is finite.

    Reference:
        Micikevicius et al., 2018, "Mixed precision training", Section 3.2.
    """

    def __init__(self) -> None:
        self.scale = keras.Variable(FIRST, dtype="float32", trainable=False, name="scale")
        self.finite_iterations = keras.Variable(0, dtype="int64", trainable=False, name="finite_iterations")

    @property
    def variables(self) -> list[keras.Variable]:
        """What a checkpoint keeps."""
        return [self.scale, self.finite_iterations]

    @property
    def value(self) -> float:
        """The scale."""
        return float(keras.ops.convert_to_numpy(self.scale))

    @property
    def exhausted(self) -> bool:
        """Whether gradients overflow however small the scale is."""
        return self.value < SMALLEST

    def adjust(self, finite: tf.Tensor) -> None:
        """Learns whether an iteration's gradients were finite; outside of the replicas."""
        count = tf.where(finite, self.finite_iterations.value + 1, 0)
        grows = count >= GROWS_AFTER
        factor = tf.where(finite, tf.where(grows, 2.0, 1.0), 0.5)
        self.scale.assign(self.scale.value * factor)
        self.finite_iterations.assign(tf.where(grows, tf.zeros_like(count), count))
