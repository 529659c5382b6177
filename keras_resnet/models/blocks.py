"""Residual blocks (Figure 5) on symbolic tensors, with the activation last as in the paper, or first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from keras_resnet.facts.architectures import convolutions
from keras_resnet.models.layers import SHORTCUTS, BatchNormalization, SpaceToDepthConv2D
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


def conv_bn(
    x,
    filters: int,
    kernel: int,
    strides: int = 1,
    *,
    data_format: str,
    name: str,
    synchronized: bool = False,
    zero_gamma: bool = False,
):
    """A convolution and its batch normalization."""
    x = conv(x, filters, kernel, strides, data_format=data_format, name=name)
    return bn(x, data_format=data_format, name=name, synchronized=synchronized, zero_gamma=zero_gamma)


def basic_block(
    x,
    filters: int,
    *,
    strides: int = 1,
    name: str,
    shortcut: str | None = "B",
    preactivation: bool = False,
    zero_gamma: bool = False,
    synchronized: bool = False,
    data_format: str | None = None,
):
    """Two 3x3 convolutions and a shortcut (Figure 5, left).

    Args:
        x: Symbolic tensor of shape (batch, height, width, channels), or with the channels second.
        filters: Channels of both convolutions and of the output.
        strides: Stride of the first convolution and of the shortcut.
        name: Prefix of the layers' names.
        shortcut: `"A"`, `"B"`, `"C"`, or None.
        preactivation: Batch normalization and ReLU before each convolution (He et al., 2016).
        zero_gamma: Whether the last gamma starts at zero.
        synchronized: Whether batch normalization takes its statistics over all replicas.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to Keras's setting.

    Returns:
        Symbolic tensor of shape (batch, ceil(height / strides), ceil(width / strides), filters).
    """
    return (_preactivation_block if preactivation else _postactivation_block)(
        x,
        convolutions("basic", filters, strides),
        strides,
        name,
        BlockOptions(shortcut, zero_gamma, synchronized, data_format or keras.config.image_data_format()),
    )


def bottleneck_block(
    x,
    filters: int,
    *,
    strides: int = 1,
    name: str,
    shortcut: str | None = "B",
    bottleneck_stride: str = "1x1",
    preactivation: bool = False,
    zero_gamma: bool = False,
    synchronized: bool = False,
    data_format: str | None = None,
):
    """1x1, 3x3 and 1x1 convolutions and a shortcut (Figure 5, right).

    Args:
        x: Symbolic tensor of shape (batch, height, width, channels), or with the channels second.
        filters: Channels of the 3x3 convolution; the output has four times as many.
        strides: Stride of the block.
        name: Prefix of the layers' names.
        shortcut: `"A"`, `"B"`, `"C"`, or None.
        bottleneck_stride: The convolution that has the stride: `"1x1"` (the paper's release) or `"3x3"` (torchvision,
            "v1.5").
        preactivation: Batch normalization and ReLU before each convolution (He et al., 2016).
        zero_gamma: Whether the last gamma starts at zero.
        synchronized: Whether batch normalization takes its statistics over all replicas.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to Keras's setting.

    Returns:
        Symbolic tensor of shape (batch, ceil(height / strides), ceil(width / strides), 4 * filters).
    """
    return (_preactivation_block if preactivation else _postactivation_block)(
        x,
        convolutions("bottleneck", filters, strides, bottleneck_stride),
        strides,
        name,
        BlockOptions(shortcut, zero_gamma, synchronized, data_format or keras.config.image_data_format()),
    )


BLOCKS: dict[str, Callable] = {"basic": basic_block, "bottleneck": bottleneck_block}
"""Kind of block -> builder."""


@dataclass(frozen=True)
class BlockOptions:
    """What both kinds of block have in common; `basic_block` documents it."""

    shortcut: str | None
    zero_gamma: bool
    synchronized: bool
    data_format: str

    @property
    def normalization(self) -> dict[str, Any]:
        """The arguments that every batch normalization of a block has."""
        return {"data_format": self.data_format, "synchronized": self.synchronized}


def _shortcut(x, filters: int, strides: int, name: str, options: BlockOptions, activated=None):
    return SHORTCUTS[options.shortcut](
        x, filters, strides, activated=activated, name=f"{name}_0", **options.normalization
    )


def _postactivation_block(x, path: list[tuple[int, int, int]], strides: int, name: str, options: BlockOptions):
    """y = relu(F(x) + shortcut(x)), Eqn. (1) and (2)."""
    y = x
    for k, (kernel, stride, filters) in enumerate(path, start=1):
        last = k == len(path)
        zero_gamma = options.zero_gamma and last
        y = conv_bn(y, filters, kernel, stride, zero_gamma=zero_gamma, name=f"{name}_{k}", **options.normalization)
        if not last:
            y = relu(y, f"{name}_{k}_relu")
    if options.shortcut is not None:
        y = layers.Add(name=f"{name}_add")([_shortcut(x, filters, strides, name, options), y])
    return relu(y, f"{name}_out")


def _preactivation_block(x, path: list[tuple[int, int, int]], strides: int, name: str, options: BlockOptions):
    """y = F(x) + shortcut(x), where F begins with batch normalization and ReLU, which a projection shares."""
    y = activated = relu(bn(x, name=f"{name}_preact", **options.normalization), f"{name}_preact_relu")
    for k, (kernel, stride, filters) in enumerate(path, start=1):
        y = conv(y, filters, kernel, stride, data_format=options.data_format, name=f"{name}_{k}")
        if k < len(path):
            zero_gamma = options.zero_gamma and k == len(path) - 1
            y = bn(y, zero_gamma=zero_gamma, name=f"{name}_{k}", **options.normalization)
            y = relu(y, f"{name}_{k}_relu")
    if options.shortcut is None:
        return layers.Activation("linear", name=f"{name}_out")(y)
    return layers.Add(name=f"{name}_out")([_shortcut(x, filters, strides, name, options, activated), y])
