"""Batch normalization that is fused on TensorFlow and keeps right statistics under `tf.distribute`."""

from __future__ import annotations

import keras
from keras import ops

FUSED_DTYPES = ("float16", "bfloat16", "float32")


@keras.saving.register_keras_serializable(package="keras_resnet")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalization with the same variables in the same order, so that weights interchange.

    Three things differ:

    - On TensorFlow, images are normalized by the fused kernel, in float16, bfloat16 or float32 with float32 statistics.
      Keras computes the same from several kernels; on other backends this layer is Keras's.
    - Under a `tf.distribute.Strategy` each replica updates moving statistics of its own, and reading them outside of
      the replicas gives their mean. Keras's layer saves those of the first replica.
    - `momentum` and `epsilon` default to the values that ResNets are trained with.

    The moving variance takes the biased variance of the batch, as in Keras.

    Args:
        momentum: Share of the old moving statistics in the new, in [0, 1].
        epsilon: Added to the variance.
        synchronized: Whether the statistics of a batch are taken over all replicas (TensorFlow only). That path is
            Keras's and is not fused.
        **kwargs: The remaining arguments of `keras.layers.BatchNormalization`.

    Input shape:
        Any; the fused kernel serves rank 4 with the channels last.

    Output shape:
        That of the input.

    Reference:
        Ioffe and Szegedy, 2015. He et al., 2015, Section 3.4 (after each convolution, before the activation).

    Differs from the paper:
        The paper's moving statistics were replaced by an exact average after training. Here they are exponential moving
        averages.
    """

    def __init__(self, *, momentum: float = 0.9, epsilon: float = 1e-5, **kwargs):
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)

    def add_weight(self, shape=None, initializer=None, trainable=True, **kwargs):
        if trainable:
            return super().add_weight(shape=shape, initializer=initializer, trainable=True, **kwargs)
        # `Layer.add_weight` has no `synchronization`; a variable that is set as an attribute is tracked all the same.
        return keras.Variable(
            initializer,
            shape=shape,
            dtype=self.variable_dtype,
            trainable=False,
            autocast=False,
            synchronization="on_read",
            aggregation="mean",
            name=kwargs["name"],
        )

    def call(self, inputs, training=None, mask=None):
        batch_statistics = bool(training and self.trainable)
        if mask is None and self._has_fused_kernel(inputs, batch_statistics):
            return self._fused(inputs, batch_statistics)
        return super().call(inputs, training=training, mask=mask)

    def _has_fused_kernel(self, inputs, batch_statistics: bool) -> bool:
        return (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and keras.backend.standardize_dtype(inputs.dtype) in FUSED_DTYPES
            and self.center
            and self.scale
            and not getattr(self, "renorm", False)  # older versions of Keras cannot renormalize
            and not (self.synchronized and batch_statistics)
        )

    def _fused(self, inputs, batch_statistics: bool):
        import tensorflow as tf

        weights = [ops.cast(w, "float32") for w in (self.gamma, self.beta, self.moving_mean, self.moving_variance)]
        gamma, beta, moving_mean, moving_variance = weights
        given = {} if batch_statistics else {"mean": moving_mean, "variance": moving_variance}
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, gamma, beta, epsilon=self.epsilon, is_training=batch_statistics, **given
        )
        if batch_statistics:
            size = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], "float32")
            biased = variance * ((size - 1.0) / size)
            self.moving_mean.assign(moving_mean + (mean - moving_mean) * (1.0 - self.momentum))
            self.moving_variance.assign(moving_variance + (biased - moving_variance) * (1.0 - self.momentum))
        return ops.cast(outputs, self.compute_dtype)
