"""A convolution of few channels in float32, with channels of zeros on a TPU."""

from __future__ import annotations

import keras

CHANNELS = 8
"""The fewest for which the compiler of TPUs finishes the gradient of a float32 kernel in seconds: with 3 it is not done
after minutes (libtpu 0.0.52)."""


class ConvolutionOfImages(keras.layers.Layer):
    """A convolution that JAX computes on a TPU with so many channels of zeros, of images and kernel, that it compiles.

    The results are the same, and on other devices so is the program.

    Args:
        conv: The convolution, one that `serves` has; it keeps its kernel.
        **kwargs: The arguments of `keras.layers.Layer`.

    Input shape, output shape:
        Those of `conv`.
    """

    def __init__(self, conv: keras.layers.Conv2D, **kwargs):
        super().__init__(**kwargs)
        self.conv = conv

    @staticmethod
    def serves(layer: keras.layers.Layer) -> bool:
        """Whether a layer is a convolution of few channels in float32 that does nothing else."""
        return (
            type(layer) is keras.layers.Conv2D
            and layer.compute_dtype == "float32"
            and layer.data_format == "channels_last"
            and layer.kernel.shape[-2] < CHANNELS
            and layer.groups == 1
            and not layer.use_bias
            and layer.activation is keras.activations.linear
            and layer.activity_regularizer is None
        )

    def call(self, inputs):
        if keras.backend.backend() != "jax":
            return self.conv(inputs)
        import jax

        # The choice is made when the platform is known, which a trace is not told.
        return jax.lax.platform_dependent(inputs, self.conv.kernel.value, tpu=self._padded, default=self._plain)

    def compute_output_shape(self, input_shape):
        return self.conv.compute_output_shape(input_shape)

    def _plain(self, images, kernel):
        return self.conv.convolution_op(images, kernel)

    def _padded(self, images, kernel):
        """The same; the compiler must not see that channels are zeros, or it would leave them out."""
        import jax
        import jax.numpy as jnp

        more = (0, CHANNELS - images.shape[-1])
        nothing = (0, 0)
        wide = (jnp.pad(images, (nothing, nothing, nothing, more)), jnp.pad(kernel, (nothing, nothing, more, nothing)))
        return self.conv.convolution_op(*jax.lax.optimization_barrier(wide))
