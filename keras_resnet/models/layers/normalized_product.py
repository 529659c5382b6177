"""A 1x1 convolution and its batch normalization, with the statistics of what comes out computed from what goes in."""

from __future__ import annotations

import keras

from keras_resnet.models.layers.batch_normalization import BatchNormalization
from keras_resnet.models.layers.batch_statistics.jax_product import grouped_normalized_product

LANES = 128
"""Of a TPU."""


class NormalizedProduct(keras.layers.Layer):
    """Two layers of a network called as one: a 1x1 convolution that widens, and its batch normalization.

    A 1x1 convolution is a product z = h W at each position. The mean of z is that of h times W, its variance is
    diag(Wᵀ Cov(h) W), and the sums of the gradient over z follow from hᵀ dz: h, of a quarter of the channels, is read
    where z would be, and z itself is never stored. That is done in training on JAX in bfloat16, where reading and
    writing z costs most, over the images of a replica, or over parts of them where h has a
    multiple of 128 channels; otherwise one layer is called after the other.

    Args:
        conv: The convolution.
        bn: The batch normalization of its output. Both as `serves` has them.
        **kwargs: The arguments of `keras.layers.Layer`.

    Input shape, output shape:
        Those of `conv`.
    """

    def __init__(self, conv: keras.layers.Conv2D, bn: BatchNormalization, **kwargs):
        super().__init__(**kwargs)
        self.conv, self.bn = conv, bn

    @staticmethod
    def serves(conv: keras.layers.Layer, bn: keras.layers.Layer) -> bool:
        """Whether a convolution at least doubles the channels, and does nothing else, and `bn` is of this package."""
        return (
            type(conv) is keras.layers.Conv2D
            and conv.kernel_size == conv.strides == (1, 1)
            and conv.groups == 1
            and not conv.use_bias
            and conv.activity_regularizer is None
            and conv.data_format == "channels_last"
            and conv.filters >= 2 * conv.kernel.shape[-2]
            and type(bn) is BatchNormalization
            and bn.center
            and bn.scale
            and not getattr(bn, "renorm", False)  # older versions of Keras cannot renormalize
        )

    def call(self, inputs, training=None):
        if not (training and self._is_joint(inputs)):
            return self.bn(self.conv(inputs), training=training)
        kernel = keras.ops.cast(self.conv.kernel, inputs.dtype)[0, 0]
        scale_and_offset = (keras.ops.cast(v, "float32") for v in (self.bn.gamma, self.bn.beta))
        groups, _ = self.bn.groups(inputs.shape[0])
        outputs, *moments = grouped_normalized_product(inputs, kernel, *scale_and_offset, self.bn.epsilon, groups)
        self.bn.update_moving_statistics(*moments)
        return outputs

    def compute_output_shape(self, input_shape):
        return self.conv.compute_output_shape(input_shape)

    @staticmethod
    def _are_served(groups: int, replicas: int, channels: int) -> bool:
        """Whether it is worth it for groups of images: a TPU has them in its lanes where channels do not fill these."""
        return replicas == 1 and (groups == 1 or channels % LANES == 0)

    def _is_joint(self, inputs) -> bool:
        return (
            keras.backend.backend() == "jax"
            and {keras.backend.standardize_dtype(inputs.dtype), self.compute_dtype} == {"bfloat16"}
            and self.bn.trainable
            and self._are_served(*self.bn.groups(inputs.shape[0]), inputs.shape[-1])
        )
