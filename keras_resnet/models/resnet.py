"""The networks of the paper as functional Keras models."""

from __future__ import annotations

import os
from collections.abc import Callable

from keras_resnet.facts import architectures
from keras_resnet.facts.architectures import Architecture, Block, BottleneckStride, Preactivation, Shortcut
from keras_resnet.models import builder_signatures, published_weights, weights_loading
from keras_resnet.models.graph import assembled
from keras_resnet.models.residual_network import ResidualNetwork
from keras_resnet.weights.arrays import Weights

REMAT_DEPTH = 200
"""Depth above which networks are built of rematerialized blocks only."""


@builder_signatures.checked
def ResNet(
    depth: int,
    include_top: bool = True,
    weights=None,
    input_tensor=None,
    input_shape: tuple | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation="softmax",
    name: str | None = None,
    *,
    shortcut: Shortcut = "B",
    bottleneck_stride: BottleneckStride | None = None,
    preactivation: Preactivation = False,
    zero_gamma: bool = False,
    synchronized: bool = False,
    pool_padding: str | None = None,
    space_to_depth: bool = False,
    remat: bool | None = None,
    data_format: str | None = None,
    new_top: bool = False,
) -> ResidualNetwork:
    """A residual network for ImageNet (Table 1), or with `shortcut=None` the plain network of that depth.

    Args:
        depth: 18, 34, 50, 101 or 152.
        include_top: Whether the network ends in average pooling and the classifier.
        weights: None; the path of a file that `save_weights` has written (`.weights.h5`), or of any layout in
            `weights.conversion.LAYOUTS`; a Keras model, of this package or another; arrays or tensors by name, such as
            the `state_dict()` of a torch module; or `"imagenet"` for those that Keras downloads. They must be of a
            network of the same arguments. Without the top, those of a classifier are passed over. For other channels
            than three, the first kernel is adapted.
        input_tensor: Symbolic tensor to start from, instead of a new input.
        input_shape: (height, width, channels), or with the channels first; height and width may be None. Any number of
            channels, and any size from 32x32, the product of the strides, on. Defaults to (224, 224, 3), without the
            top to any size of three channels.
        pooling: Without the top: None (the last feature map), `"avg"` or `"max"`.
        classes: Outputs of the classifier.
        classifier_activation: Activation of the classifier; None for logits.
        name: Name of the model.
        shortcut: `"A"` (identity with zero padding), `"B"` (projection where the channels change), `"C"` (projections
            everywhere), or None (plain network). An identity is subsampled where only the size changes.
        bottleneck_stride: The convolution of a bottleneck that has the stride: `"1x1"`, as in the paper's release, or
            `"3x3"`, as in torchvision ("v1.5"). Defaults to that of the weights, without any to `"1x1"`.
        preactivation: Batch normalization and ReLU before the convolutions (He et al., 2016). `"slim"` is that as
            TF-slim and keras.applications' V2 have it: the stride of a stage is in the last block of the stage before,
            and the first convolution has a bias. Theirs also have `bottleneck_stride="3x3"`.
        zero_gamma: Whether the last gamma of each block starts at zero, so that blocks start as the identity (Goyal et
            al., 2017).
        synchronized: Whether batch normalization takes its statistics over all replicas.
        pool_padding: `"same"` pads the max-pool as the paper's release does; `"symmetric"` pads one pixel on each side
            as torchvision and keras.applications do. Defaults to that of the weights, without any to `"same"`.
        space_to_depth: Whether the first convolution, 7x7 with stride 2, is computed as one of 4x4 without a stride on
            blocks of 2x2 pixels, which suits TPUs. Its weights stay those of the 7x7 convolution, and so does every
            file; outputs differ by rounding.
        remat: Whether blocks are rematerialized for the gradient, which saves memory and costs a second forward pass.
            Defaults to False.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to Keras's setting.
        new_top: Whether the classifier starts anew, for other classes than those of the weights.

    Input shape:
        (batch, height, width, channels), float.

    Output shape:
        (batch, classes), float32 also under a mixed policy; without the top the last feature map, or (batch, channels)
        if pooled.

    Returns:
        A `ResidualNetwork`.

    Raises:
        ValueError: for a depth, an option, a size or weights that do not fit.
        FileNotFoundError, ConnectionError: if the weights are not there, or cannot be downloaded.

    Reference:
        He et al., 2015, Table 1 and Section 3.3.

    Differs from the paper:
        Convolutions have no bias; the paper's release has one in the first convolution of ResNet-50.
    """
    architecture = architectures.imagenet(depth)
    found = _weights(weights, depth, preactivation)
    network = assembled(
        architecture,
        include_top=include_top,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        name=name or _name(depth, shortcut),
        shortcut=shortcut,
        bottleneck_stride=_chosen(bottleneck_stride, found, "bottleneck_stride", "1x1"),
        preactivation=preactivation,
        zero_gamma=zero_gamma,
        synchronized=synchronized,
        pool_padding=_chosen(pool_padding, found, "pool_padding", "same"),
        space_to_depth=space_to_depth,
        remat=_rematerializes(remat, architecture),
        nested=architecture.depth > REMAT_DEPTH,
        data_format=data_format,
    )
    return _loaded(network, found, weights, new_top)


@builder_signatures.checked
def CifarResNet(
    depth: int,
    include_top: bool = True,
    weights=None,
    input_tensor=None,
    input_shape: tuple | None = None,
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation="softmax",
    name: str | None = None,
    *,
    shortcut: Shortcut = "A",
    block: Block = "basic",
    bottleneck_stride: BottleneckStride | None = None,
    preactivation: Preactivation = False,
    zero_gamma: bool = False,
    synchronized: bool = False,
    pool_padding: str | None = None,
    space_to_depth: bool = False,
    remat: bool | None = None,
    data_format: str | None = None,
    new_top: bool = False,
) -> ResidualNetwork:
    """A residual network for 32x32 images (Section 4.2), or with `shortcut=None` the plain network of that depth.

    Args:
        depth: 6n+2 (20, 32, 44, 56, 110, 1202, …), or 9n+2 (164, 1001, …) with bottlenecks.
        include_top: Whether the network ends in average pooling and the classifier.
        weights: None; the path of a file that `save_weights` has written (`.weights.h5`), or of any layout in
            `weights.conversion.LAYOUTS`; a Keras model of this package; or arrays or tensors by name, such as the
            `state_dict()` of a torch module. They must be of a network of the same arguments. Without the top, those of
            a classifier are passed over. For other channels than three, the first kernel is adapted.
        input_tensor: Symbolic tensor to start from, instead of a new input.
        input_shape: (height, width, channels), or with the channels first; height and width may be None. Any number of
            channels, and any size from 4x4, the product of the strides, on. Defaults to (32, 32, 3), without the top to
            any size of three channels.
        pooling: Without the top: None (the last feature map), `"avg"` or `"max"`.
        classes: Outputs of the classifier.
        classifier_activation: Activation of the classifier; None for logits.
        name: Name of the model.
        shortcut: `"A"` (identity with zero padding), as in the paper, `"B"` (projection where the channels change),
            `"C"` (projections everywhere), or None (plain network).
        block: `"basic"`, or `"bottleneck"` for the networks of He et al., 2016.
        bottleneck_stride: The convolution of a bottleneck that has the stride, `"1x1"` or `"3x3"`. Defaults to that of
            the weights, without any to `"1x1"`.
        preactivation: Batch normalization and ReLU before the convolutions (He et al., 2016). With `"slim"`, the stride
            of a stage is in the last block of the stage before, and the first convolution has a bias.
        zero_gamma: Whether the last gamma of each block starts at zero, so that blocks start as the identity (Goyal et
            al., 2017).
        synchronized: Whether batch normalization takes its statistics over all replicas.
        pool_padding: Without effect: these networks have no max-pool.
        space_to_depth: Must be False: the first convolution has no stride.
        remat: Whether blocks are rematerialized for the gradient, which saves memory and costs a second forward pass.
            Defaults to networks of more than 200 layers, which have no other form.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to Keras's setting.
        new_top: Whether the classifier starts anew, for other classes than those of the weights.

    Input shape:
        (batch, height, width, channels), float.

    Output shape:
        (batch, classes), float32 also under a mixed policy; without the top the last feature map, or (batch, channels)
        if pooled.

    Returns:
        A `ResidualNetwork`.

    Raises:
        ValueError: for a depth, an option, a size or weights that do not fit.
        FileNotFoundError: if the weights are not there.

    Reference:
        He et al., 2015, Section 4.2.
    """
    architecture = architectures.cifar(depth, block)
    found = _weights(weights, depth, preactivation)
    network = assembled(
        architecture,
        include_top=include_top,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        name=name or f"cifar_{_name(depth, shortcut)}",
        shortcut=shortcut,
        bottleneck_stride=_chosen(bottleneck_stride, found, "bottleneck_stride", "1x1"),
        preactivation=preactivation,
        zero_gamma=zero_gamma,
        synchronized=synchronized,
        pool_padding=_chosen(pool_padding, found, "pool_padding", "same"),
        space_to_depth=space_to_depth,
        remat=_rematerializes(remat, architecture),
        nested=architecture.depth > REMAT_DEPTH,
        data_format=data_format,
    )
    return _loaded(network, found, weights, new_top)


BUILDERS: dict[str, Callable[..., ResidualNetwork]] = {"imagenet": ResNet, "cifar": CifarResNet}
"""Families of networks by name."""


def _name(depth: int, shortcut: str | None) -> str:
    return f"{'resnet' if shortcut else 'plainnet'}{depth}"


def _rematerializes(remat: bool | None, architecture: Architecture) -> bool:
    """Whether blocks are rematerialized."""
    deep = architecture.depth > REMAT_DEPTH
    if deep and remat is False:
        raise ValueError(
            f"`remat` must be None or True in networks of more than {REMAT_DEPTH} layers: laid out flat, their graphs "
            "exceed Python's recursion limit. Received: remat=False"
        )
    return deep if remat is None else remat


def _weights(source, depth: int, preactivation: Preactivation) -> Weights | None:
    """The weights that the argument names."""
    if source is None:
        return None
    if isinstance(source, str) and source == "imagenet":
        return published_weights.imagenet(depth, preactivation)
    return weights_loading.find(source)


def _chosen(value: str | None, found: Weights | None, argument: str, default: str) -> str:
    """The value of an argument; where it is None, that of the network that the weights are of."""
    if value is not None:
        return value
    return getattr(found.metadata.spec, argument) if found and found.metadata else default


def _loaded(network: ResidualNetwork, found: Weights | None, source, new_top: bool) -> ResidualNetwork:
    """The network with the weights, if there are any."""
    if found:
        path = os.fspath(source) if isinstance(source, str | os.PathLike) else ""
        weights_loading.load_weights(network, found, new_top=new_top, source=path)
    return network


def _resnet(depth: int) -> Callable[..., ResidualNetwork]:
    summary = f"ResNet-{depth} for ImageNet (He et al., 2015, Table 1)."
    return builder_signatures.of_depth(ResNet, depth, f"ResNet{depth}", summary)


def _plain(depth: int) -> Callable[..., ResidualNetwork]:
    summary = f"The plain network of {depth} layers, without shortcuts (He et al., 2015, Table 2)."
    return builder_signatures.of_depth(ResNet, depth, f"PlainNet{depth}", summary, shortcut=None)


def _cifar_resnet(depth: int) -> Callable[..., ResidualNetwork]:
    summary = f"ResNet-{depth} for CIFAR (He et al., 2015, Table 6)."
    return builder_signatures.of_depth(CifarResNet, depth, f"CifarResNet{depth}", summary)


def _cifar_plain(depth: int) -> Callable[..., ResidualNetwork]:
    summary = f"The plain network of {depth} layers for CIFAR, without shortcuts (He et al., 2015, Figure 6)."
    return builder_signatures.of_depth(CifarResNet, depth, f"CifarPlainNet{depth}", summary, shortcut=None)


ResNet18, ResNet34, ResNet50, ResNet101, ResNet152 = map(_resnet, (18, 34, 50, 101, 152))
PlainNet18, PlainNet34 = map(_plain, (18, 34))
CifarResNet20, CifarResNet32, CifarResNet44 = map(_cifar_resnet, (20, 32, 44))
CifarResNet56, CifarResNet110, CifarResNet1202 = map(_cifar_resnet, (56, 110, 1202))
CifarPlainNet20, CifarPlainNet32, CifarPlainNet44 = map(_cifar_plain, (20, 32, 44))
CifarPlainNet56, CifarPlainNet110 = map(_cifar_plain, (56, 110))
