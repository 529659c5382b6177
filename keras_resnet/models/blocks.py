"""The residual blocks of Figure 5, after the activation as in the paper or before it, on symbolic tensors."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers

from keras_resnet.facts.architectures import convolutions
from keras_resnet.models.layers import SHORTCUTS, BatchNormalization, ProjectionShortcut, SpaceToDepthConv2D
from keras_resnet.models.layers.shortcuts import he_normal


def conv(
    x,
    filters: int,
    kernel: int,
    strides: int = 1,
    *,
    data_format: str,
    name: str,
    bias: bool = False,
    space_to_depth: bool = False,
):
    """A convolution padded by (kernel - 1) / 2 on each side, without bias unless asked for.

    `padding="same"` would pad a strided convolution on one side only, so that padding is a layer of its own there.
    With `space_to_depth`, for a strided convolution alone, a layer of the same weights computes the same by blocks.
    """
    padding = "same"
    if strides > 1 and kernel > 1:
        x = layers.ZeroPadding2D(kernel // 2, data_format=data_format, name=f"{name}_pad")(x)
        padding = "valid"
    return (SpaceToDepthConv2D if space_to_depth else layers.Conv2D)(
        filters,
        kernel,
        strides,
        padding,
        use_bias=bias,
        kernel_initializer=he_normal(),
        data_format=data_format,
        name=f"{name}_conv",
    )(x)


def bn(x, *, data_format: str, name: str, synchronized: bool = False, zero_gamma: bool = False):
    """Batch normalization over the channels, with epsilon 1e-5 and momentum 0.9."""
    return BatchNormalization(
        axis=-1 if data_format == "channels_last" else 1,
        gamma_initializer="zeros" if zero_gamma else "ones",
        synchronized=synchronized,
        name=f"{name}_bn",
    )(x)


def relu(x, name: str):
    """The activation of every network here."""
    return layers.Activation("relu", name=name)(x)


def conv_bn(x, filters, kernel, strides=1, *, data_format, name, synchronized=False, zero_gamma=False):
    """A convolution and its batch normalization."""
    x = conv(x, filters, kernel, strides, data_format=data_format, name=name)
    return bn(x, data_format=data_format, name=name, synchronized=synchronized, zero_gamma=zero_gamma)


def basic_block(x, filters: int, *, strides: int = 1, name: str, preactivation: bool = False, **options):
    """Two 3x3 convolutions and a shortcut (Figure 5, left).

    Args:
        x: Symbolic tensor of shape (batch, height, width, channels), or with the channels second.
        filters: Channels of both convolutions and of the output.
        strides: Stride of the first convolution and of the shortcut.
        name: Prefix of the layers' names.
        preactivation: Batch normalization and ReLU before each convolution (He et al., 2016).
        **options: `shortcut` ("A", "B", "C" or None), `zero_gamma`, `synchronized`, `data_format`.

    Returns:
        Symbolic tensor of shape (batch, ceil(height / strides), ceil(width / strides), filters).
    """
    path = convolutions("basic", filters, strides)
    return _block(preactivation)(x, path, strides=strides, name=name, **options)


def bottleneck_block(
    x,
    filters: int,
    *,
    strides: int = 1,
    name: str,
    bottleneck_stride: str = "1x1",
    preactivation: bool = False,
    **options,
):
    """1x1, 3x3 and 1x1 convolutions and a shortcut (Figure 5, right).

    Args:
        x: Symbolic tensor of shape (batch, height, width, channels), or with the channels second.
        filters: Channels of the 3x3 convolution; the output has four times as many.
        strides: Stride of the block.
        name: Prefix of the layers' names.
        bottleneck_stride: The convolution that has the stride: `"1x1"` (the paper's release) or `"3x3"` (torchvision,
            "v1.5").
        preactivation: Batch normalization and ReLU before each convolution (He et al., 2016).
        **options: `shortcut` ("A", "B", "C" or None), `zero_gamma`, `synchronized`, `data_format`.

    Returns:
        Symbolic tensor of shape (batch, ceil(height / strides), ceil(width / strides), 4 * filters).
    """
    path = convolutions("bottleneck", filters, strides, bottleneck_stride)
    return _block(preactivation)(x, path, strides=strides, name=name, **options)


BLOCKS: dict[str, Callable] = {"basic": basic_block, "bottleneck": bottleneck_block}
"""Kind of block -> builder."""


def _block(preactivation: bool) -> Callable:
    return _preactivation_block if preactivation else _postactivation_block


def _shortcut(x, filters: int, strides: int, option: str, *, name: str, data_format: str, **options):
    in_filters = x.shape[-1 if data_format == "channels_last" else 1]
    name = f"{name}_0"
    return SHORTCUTS[option](in_filters, filters, strides, name=name, data_format=data_format, **options)


def _postactivation_block(
    x, path, *, strides, name, shortcut="B", zero_gamma=False, synchronized=False, data_format=None
):
    """y = relu(F(x) + shortcut(x)), Eqn. (1) and (2)."""
    common = {"data_format": data_format or keras.config.image_data_format(), "synchronized": synchronized}
    y = x
    for k, (kernel, stride, filters) in enumerate(path, start=1):
        last = k == len(path)
        y = conv_bn(y, filters, kernel, stride, zero_gamma=zero_gamma and last, name=f"{name}_{k}", **common)
        if not last:
            y = relu(y, f"{name}_{k}_relu")
    if shortcut is not None:
        x = _shortcut(x, filters, strides, shortcut, name=name, **common)(x)
        y = layers.Add(name=f"{name}_add")([x, y])
    return relu(y, f"{name}_out")


def _preactivation_block(
    x, path, *, strides, name, shortcut="B", zero_gamma=False, synchronized=False, data_format=None
):
    """y = F(x) + shortcut(x), where F begins with batch normalization and ReLU, which a projection shares."""
    common = {"data_format": data_format or keras.config.image_data_format(), "synchronized": synchronized}
    y = activated = relu(bn(x, name=f"{name}_preact", **common), f"{name}_preact_relu")
    for k, (kernel, stride, filters) in enumerate(path, start=1):
        y = conv(y, filters, kernel, stride, data_format=common["data_format"], name=f"{name}_{k}")
        if k < len(path):
            last = k == len(path) - 1
            y = bn(y, zero_gamma=zero_gamma and last, name=f"{name}_{k}", **common)
            y = relu(y, f"{name}_{k}_relu")
    if shortcut is None:
        return layers.Activation("linear", name=f"{name}_out")(y)
    path_of_shortcut = _shortcut(x, filters, strides, shortcut, name=name, normalize=False, **common)
    projected = isinstance(path_of_shortcut, ProjectionShortcut)
    return layers.Add(name=f"{name}_out")([path_of_shortcut(activated if projected else x), y])
