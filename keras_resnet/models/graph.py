"""The graph of a network: from an architecture and options to a Keras model, with the weights that it starts with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from keras_resnet.facts import architectures
from keras_resnet.facts.architectures import Architecture, BlockPlan, Preactivation
from keras_resnet.models.blocks import BLOCKS, bn, conv, relu
from keras_resnet.models.layers import Rematerialized
from keras_resnet.models.layers.shortcuts import he_normal
from keras_resnet.models.residual_network import ResidualNetwork

POOLING = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}

ALLOWED: dict[str, tuple[Any, ...]] = {
    "shortcut": architectures.SHORTCUTS,
    "bottleneck_stride": architectures.BOTTLENECK_STRIDES,
    "preactivation": architectures.PREACTIVATIONS,
    "pooling": (None, *POOLING),
    "pool_padding": ("same", "symmetric"),
    "data_format": ("channels_last", "channels_first"),
}
"""Values by argument."""


def assembled(
    architecture: Architecture,
    *,
    include_top: bool,
    input_tensor,
    input_shape: tuple | None,
    pooling: str | None,
    classes: int | None,
    classifier_activation,
    name: str,
    shortcut: str | None,
    bottleneck_stride: str,
    preactivation: Preactivation,
    zero_gamma: bool,
    synchronized: bool,
    pool_padding: str,
    space_to_depth: bool,
    remat: bool,
    nested: bool,
    data_format: str | None,
) -> ResidualNetwork:
    """The network of an architecture; `ResNet` documents the arguments.

    With `nested`, each block is a layer of its own, `Rematerialized`: Keras walks a graph by recursion.

    Raises:
        ValueError: for an argument without such a value, or a size that does not fit.
    """
    data_format = data_format or keras.config.image_data_format()
    _check_values(
        shortcut=shortcut,
        bottleneck_stride=bottleneck_stride,
        preactivation=preactivation,
        pooling=pooling,
        pool_padding=pool_padding,
        data_format=data_format,
    )
    classes = architecture.classes if classes is None else classes
    _check_classes(classes)
    _check_space_to_depth(space_to_depth, architecture)
    normalization = {"data_format": data_format, "synchronized": synchronized}
    build = functools.partial(
        BLOCKS[architecture.block],
        shortcut=shortcut,
        preactivation=bool(preactivation),
        zero_gamma=zero_gamma,
        **normalization,
    )
    if architecture.block == "bottleneck":
        build = functools.partial(build, bottleneck_stride=bottleneck_stride)

    image = _input(architecture, input_tensor, input_shape, include_top, data_format)
    x = _conv1(image, architecture, data_format, space_to_depth=space_to_depth, bias=preactivation == "slim")
    if not preactivation:
        x = relu(bn(x, name="conv1", **normalization), "conv1_relu")
    if architecture.stem.pool:
        x = _pool1(x, pool_padding, data_format)
    for block in architecture.plan(preactivation):
        x = (_nested if nested else _applied)(build, x, block)
    if preactivation:
        x = relu(bn(x, name="post", **normalization), "post_relu")
    if include_top:
        x = _classifier(x, classes, classifier_activation, data_format)
    elif pooling:
        x = POOLING[pooling](data_format=data_format, name=f"{pooling}_pool")(x)
    inputs = [image] if input_tensor is None else keras.utils.get_source_inputs(image)
    # As in a network without `input_tensor`: a list of one tensor would be asked for a list of one array.
    return ResidualNetwork(inputs[0] if len(inputs) == 1 else inputs, x, name=name, remat=remat and not nested)


def _check_values(**arguments) -> None:
    for argument, value in arguments.items():
        if value not in ALLOWED[argument]:
            raise ValueError(f"`{argument}` must be one of {ALLOWED[argument]}. Received: {argument}={value!r}")


def _check_classes(classes: int) -> None:
    if not isinstance(classes, int) or classes < 1:
        raise ValueError(f"`classes` must be a positive integer. Received: classes={classes!r}")


def _check_space_to_depth(space_to_depth: bool, architecture: Architecture) -> None:
    if space_to_depth and architecture.stem.strides == 1:
        raise ValueError(
            "`space_to_depth` must be False in networks for CIFAR, whose first convolution has no stride. "
            f"Received: space_to_depth={space_to_depth!r}"
        )


def _input(architecture: Architecture, input_tensor, input_shape, include_top: bool, data_format: str):
    """The symbolic tensor that the network starts from."""
    if input_tensor is None:
        size = architecture.image_size if include_top else None
        default = (size, size, 3) if data_format == "channels_last" else (3, size, size)
        x = keras.Input(tuple(input_shape or default))
    else:
        x = input_tensor if keras.backend.is_keras_tensor(input_tensor) else keras.Input(tensor=input_tensor)
    if len(x.shape) != 4:
        raise ValueError(f"`input_shape` must have 3 entries, as (224, 224, 3). Received: input_shape={input_shape}")
    if not x.shape[-1 if data_format == "channels_last" else 1]:
        raise ValueError(
            f"`input_shape` must name the channels, at least 1. Received: input_shape={tuple(x.shape[1:])}"
        )
    size = x.shape[1:3] if data_format == "channels_last" else x.shape[2:4]
    smallest = architecture.strides
    if any(n is not None and n < smallest for n in size):
        raise ValueError(
            f"`input_shape` must be at least {smallest}x{smallest}, because the strides of this network multiply to "
            f"{smallest}. Received: input_shape={tuple(x.shape[1:])}"
        )
    return x


def _conv1(x, architecture: Architecture, data_format: str, *, space_to_depth: bool, bias: bool):
    stem = architecture.stem
    return conv(
        x,
        stem.filters,
        stem.kernel,
        stem.strides,
        data_format=data_format,
        name="conv1",
        bias=bias,
        space_to_depth=space_to_depth,
    )


def _pool1(x, pool_padding: str, data_format: str):
    """The max-pool of networks for ImageNet (Table 1)."""
    if pool_padding == "symmetric":
        x = layers.ZeroPadding2D(1, data_format=data_format, name="pool1_pad")(x)
    padding = "same" if pool_padding == "same" else "valid"
    return layers.MaxPooling2D(3, 2, padding, data_format=data_format, name="pool1_pool")(x)


def _applied(build: Callable, x, block: BlockPlan):
    return build(x, block.filters, strides=block.strides, name=block.name)


def _nested(build: Callable, x, block: BlockPlan):
    inputs = keras.Input(x.shape[1:])
    inner = keras.Model(inputs, _applied(build, inputs, block), name=block.name)
    return Rematerialized(inner, name=f"{block.name}_out")(x)


def _classifier(x, classes: int, activation, data_format: str):
    """Average pooling and the dense layer, float32 under every policy."""
    x = POOLING["avg"](data_format=data_format, name="avg_pool")(x)
    return layers.Dense(
        classes, activation=activation, kernel_initializer=he_normal(), dtype="float32", name="predictions"
    )(x)
