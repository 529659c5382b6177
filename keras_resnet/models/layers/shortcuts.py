"""Shortcut connections (Section 3.3), whose output is added to that of a block."""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras
from keras import ops

from keras_resnet.models.layers.batch_normalization import BatchNormalization


def he_normal() -> keras.initializers.Initializer:
    """He initialization as published, an untruncated Gaussian of variance 2 / fan_in; that of Keras is truncated."""
    return keras.initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal")


@keras.saving.register_keras_serializable(package="keras_resnet")
class IdentityShortcut(keras.layers.Layer):
    """Option A: the identity, subsampled by its stride, with zeros for the channels that the input does not have.

    Has no weights. The extra channels are at the end of the channel axis.

    Args:
        filters: Channels of the output, at least those of the input.
        strides: Every `strides`-th row and column is kept.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to Keras's setting.
        **kwargs: The arguments of `keras.layers.Layer`.

    Input shape:
        (batch, height, width, channels), or with the channels second.

    Output shape:
        (batch, ceil(height / strides), ceil(width / strides), filters), or with the channels second.

    Raises:
        ValueError: when built, if the input has more than `filters` channels.

    Reference:
        He et al., 2015, Section 3.3, option A.
    """

    def __init__(self, filters: int, strides: int = 1, *, data_format: str | None = None, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides
        self.data_format = data_format or keras.config.image_data_format()
        self.channel_axis = -1 if self.data_format == "channels_last" else 1

    def build(self, input_shape):
        if input_shape[self.channel_axis] > self.filters:
            raise ValueError(
                "`filters` must be at least the channels of the input. "
                f"Received: filters={self.filters}, input_shape={tuple(input_shape)}"
            )

    def call(self, inputs):
        s = self.strides
        extra = self.filters - inputs.shape[self.channel_axis]
        if self.data_format == "channels_last":
            return ops.pad(inputs[:, ::s, ::s, :], [[0, 0], [0, 0], [0, 0], [0, extra]])
        return ops.pad(inputs[:, :, ::s, ::s], [[0, 0], [0, extra], [0, 0], [0, 0]])

    def compute_output_shape(self, input_shape):
        return strided_shape(input_shape, self.filters, self.strides, self.data_format)

    def get_config(self):
        config = super().get_config()
        return config | {"filters": self.filters, "strides": self.strides, "data_format": self.data_format}


@keras.saving.register_keras_serializable(package="keras_resnet")
class ProjectionShortcut(keras.layers.Layer):
    """Options B and C as one layer: a 1x1 convolution without bias, followed by batch normalization.

    The networks of this package have both layers in their graph instead, under the names of `keras.applications`.

    Args:
        filters: Channels of the output.
        strides: Stride of the convolution.
        normalize: Whether batch normalization follows; pre-activation blocks have none there.
        synchronized: As in `BatchNormalization`.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to Keras's setting.
        **kwargs: The arguments of `keras.layers.Layer`.

    Input shape:
        (batch, height, width, channels), or with the channels second.

    Output shape:
        (batch, ceil(height / strides), ceil(width / strides), filters), or with the channels second.

    Reference:
        He et al., 2015, Section 3.3, Eqn. (2), options B and C.
    """

    def __init__(
        self,
        filters: int,
        strides: int = 1,
        *,
        normalize: bool = True,
        synchronized: bool = False,
        data_format: str | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides
        self.normalize = normalize
        self.synchronized = synchronized
        self.data_format = data_format or keras.config.image_data_format()
        self.conv, *rest = projection_layers(
            filters,
            strides,
            normalize=normalize,
            synchronized=synchronized,
            data_format=self.data_format,
            dtype=self.dtype_policy,
            name=self.name,
        )
        self.bn = rest[0] if normalize else None

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """The convolution and, if there is one, the batch normalization."""
        return [self.conv, self.bn] if self.normalize else [self.conv]

    def build(self, input_shape):
        self.conv.build(input_shape)
        if self.normalize:
            self.bn.build(self.compute_output_shape(input_shape))

    def call(self, inputs, training=None):
        outputs = self.conv(inputs)
        return self.bn(outputs, training=training) if self.normalize else outputs

    def compute_output_shape(self, input_shape):
        return strided_shape(input_shape, self.filters, self.strides, self.data_format)

    def get_config(self):
        config = super().get_config()
        for argument in ("filters", "strides", "normalize", "synchronized", "data_format"):
            config[argument] = getattr(self, argument)
        return config


def strided_shape(input_shape, filters: int, strides: int, data_format: str) -> tuple:
    """The shape that a 1x1 window with a stride leaves; unknown sizes stay unknown."""
    last = data_format == "channels_last"
    height, width = input_shape[1:3] if last else input_shape[2:4]
    size = tuple(n if n is None else -(-n // strides) for n in (height, width))
    return (input_shape[0], *size, filters) if last else (input_shape[0], filters, *size)


def projection_layers(
    filters: int,
    strides: int,
    *,
    normalize: bool = True,
    synchronized: bool = False,
    data_format: str | None = None,
    dtype=None,
    name: str | None = None,
) -> list[keras.layers.Layer]:
    """The convolution of a projection and, where it is normalized, the batch normalization."""
    data_format = data_format or keras.config.image_data_format()
    conv = keras.layers.Conv2D(
        filters,
        1,
        strides,
        use_bias=False,
        kernel_initializer=he_normal(),
        data_format=data_format,
        dtype=dtype,
        name=name and f"{name}_conv",
    )
    if not normalize:
        return [conv]
    axis = -1 if data_format == "channels_last" else 1
    return [conv, BatchNormalization(axis, synchronized=synchronized, dtype=dtype, name=name and f"{name}_bn")]


def identity(
    x,
    filters: int,
    strides: int,
    *,
    activated=None,
    synchronized: bool = False,
    data_format: str | None = None,
    name: str | None = None,
):
    """Option A everywhere: nothing where the shape stays, `IdentityShortcut` where it changes."""
    if strides == 1 and _channels(x, data_format) == filters:
        return x
    return IdentityShortcut(filters, strides, data_format=data_format, name=name)(x)


def projection(
    x,
    filters: int,
    strides: int,
    *,
    activated=None,
    synchronized: bool = False,
    data_format: str | None = None,
    name: str | None = None,
):
    """Option C: a projection in every block; with pre-activation, of what is activated, without normalization."""
    first = activated is not None
    layers = projection_layers(
        filters, strides, normalize=not first, synchronized=synchronized, data_format=data_format, name=name
    )
    return functools.reduce(lambda y, layer: layer(y), layers, activated if first else x)


def projection_where_the_channels_change(x, filters: int, strides: int, *, data_format: str | None = None, **options):
    """Option B: projections only where the channels change, otherwise the identity, subsampled where it has a stride.

    In the paper's networks both change together; a stride alone is in those of TF-slim.
    """
    chosen = identity if _channels(x, data_format) == filters else projection
    return chosen(x, filters, strides, data_format=data_format, **options)


def _channels(x, data_format: str | None) -> int:
    return x.shape[-1 if (data_format or keras.config.image_data_format()) == "channels_last" else 1]


SHORTCUTS: dict[str | None, Callable] = {"A": identity, "B": projection_where_the_channels_change, "C": projection}
"""Option -> function from the symbolic input of a block to what is added to the block's path.

Each row takes x, filters and strides, and by keyword synchronized, data_format, name, and activated: the input after
batch normalization and ReLU, where a block begins with those. It reads those that concern it.
"""
