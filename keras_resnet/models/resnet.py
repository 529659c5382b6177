"""The networks of the paper as functional Keras models."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers

from keras_resnet.facts import architectures
from keras_resnet.facts.architectures import Architecture, BlockPlan, Preactivation
from keras_resnet.models import published_weights
from keras_resnet.models import weights_loading as weight_files
from keras_resnet.models.blocks import BLOCKS, bn, conv, relu
from keras_resnet.models.layers import Rematerialized
from keras_resnet.models.layers.shortcuts import he_normal
from keras_resnet.models.residual_network import ResidualNetwork

REMAT_DEPTH = 200
"""Networks deeper than this are built of rematerialized blocks unless told otherwise."""

POOLING = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}

ALLOWED = {
    "shortcut": architectures.SHORTCUTS,
    "bottleneck_stride": architectures.BOTTLENECK_STRIDES,
    "preactivation": architectures.PREACTIVATIONS,
    "pooling": (None, *POOLING),
    "pool_padding": ("same", "symmetric"),
    "data_format": ("channels_last", "channels_first"),
}


def _check(**arguments) -> None:
    """Raise a `ValueError` for the first argument that has no such value."""
    classes = arguments.pop("classes")
    if not isinstance(classes, int) or classes < 1:
        raise ValueError(f"`classes` must be a positive integer. Received: classes={classes!r}")
    for argument, value in arguments.items():
        if value not in ALLOWED[argument]:
            raise ValueError(f"`{argument}` must be one of {ALLOWED[argument]}. Received: {argument}={value!r}")


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


def _stem(
    x, architecture: Architecture, preactivation: Preactivation, pool_padding: str, space_to_depth: bool, common: dict
):
    """conv1 and the max-pool (Table 1, first two rows)."""
    stem = architecture.stem
    how = {"data_format": common["data_format"], "space_to_depth": space_to_depth, "bias": preactivation == "slim"}
    x = conv(x, stem.filters, stem.kernel, stem.strides, name="conv1", **how)
    if not preactivation:
        x = relu(bn(x, name="conv1", **common), "conv1_relu")
    if not stem.pool:
        return x
    if pool_padding == "symmetric":
        x = layers.ZeroPadding2D(1, data_format=common["data_format"], name="pool1_pad")(x)
    padding = "same" if pool_padding == "same" else "valid"
    return layers.MaxPooling2D(3, 2, padding, data_format=common["data_format"], name="pool1_pool")(x)


def _blocks(x, architecture: Architecture, preactivation: Preactivation, remat: bool, options: dict):
    """conv2_x and the stages after it."""
    build = BLOCKS[architecture.block]
    options = options | {"preactivation": bool(preactivation)}
    for block in architecture.plan(preactivation):
        x = (_rematerialized if remat else _apply)(build, x, block, options)
    return x


def _apply(build: Callable, x, block: BlockPlan, options: dict):
    return build(x, block.filters, strides=block.strides, name=block.name, **options)


def _rematerialized(build: Callable, x, block: BlockPlan, options: dict):
    inputs = keras.Input(x.shape[1:])
    inner = keras.Model(inputs, _apply(build, inputs, block, options), name=block.name)
    return Rematerialized(inner, name=f"{block.name}_out")(x)


def _head(x, *, include_top: bool, pooling: str | None, classes: int, activation, data_format: str):
    """Average pooling and the classifier, or the pooling that was asked for."""
    if not include_top:
        return POOLING[pooling](data_format=data_format, name=f"{pooling}_pool")(x) if pooling else x
    x = POOLING["avg"](data_format=data_format, name="avg_pool")(x)
    return layers.Dense(
        classes, activation=activation, kernel_initializer=he_normal(), dtype="float32", name="predictions"
    )(x)


def _network(
    architecture: Architecture,
    include_top: bool = True,
    weights=None,
    input_tensor=None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int | None = None,
    classifier_activation="softmax",
    name: str | None = None,
    *,
    shortcut: str | None,
    bottleneck_stride: str | None = None,
    preactivation: Preactivation = False,
    zero_gamma: bool = False,
    synchronized: bool = False,
    pool_padding: str | None = None,
    space_to_depth: bool = False,
    remat: bool | None = None,
    data_format: str | None = None,
    new_top: bool = False,
) -> ResidualNetwork:
    """The network of an architecture; `ResNet` documents the arguments."""
    data_format = data_format or keras.config.image_data_format()
    classes = architecture.classes if classes is None else classes
    deep = architecture.depth > REMAT_DEPTH
    if deep and remat is False:
        raise ValueError(
            f"`remat` must be None or True in networks of more than {REMAT_DEPTH} layers: laid out flat, their graphs "
            "exceed Python's recursion limit. Received: remat=False"
        )
    remat = deep if remat is None else remat
    found = None if weights is None else _weights(weights, architecture.depth, preactivation)
    meant = found.carried.form if found and found.carried else None
    if bottleneck_stride is None:
        bottleneck_stride = meant.bottleneck_stride if meant else "1x1"
    if pool_padding is None:
        pool_padding = meant.pool_padding if meant else "same"
    _check(
        classes=classes,
        shortcut=shortcut,
        bottleneck_stride=bottleneck_stride,
        preactivation=preactivation,
        pooling=pooling,
        pool_padding=pool_padding,
        data_format=data_format,
    )
    if space_to_depth and architecture.stem.strides == 1:
        raise ValueError(
            "`space_to_depth` must be False in networks for CIFAR, whose first convolution has no stride. "
            f"Received: space_to_depth={space_to_depth!r}"
        )
    common = {"data_format": data_format, "synchronized": synchronized}
    options = common | {"shortcut": shortcut, "zero_gamma": zero_gamma}
    if architecture.block == "bottleneck":
        options["bottleneck_stride"] = bottleneck_stride

    image = _input(architecture, input_tensor, input_shape, include_top, data_format)
    x = _stem(image, architecture, preactivation, pool_padding, space_to_depth, common)
    x = _blocks(x, architecture, preactivation, remat, options)
    if preactivation:
        x = relu(bn(x, name="post", **common), "post_relu")
    x = _head(
        x,
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        activation=classifier_activation,
        data_format=data_format,
    )
    inputs = [image] if input_tensor is None else keras.utils.get_source_inputs(image)
    # As in a network without `input_tensor`: a list of one tensor would be asked for a list of one array.
    network = ResidualNetwork(inputs[0] if len(inputs) == 1 else inputs, x, name=name)
    if found:
        source = "" if found is weights else str(weights)
        weight_files.load_weights(network, found, new_top=new_top, source=source)
    return network


def _weights(source, depth: int, preactivation: Preactivation) -> weight_files.Weights:
    """What is meant by the argument `weights`."""
    if isinstance(source, weight_files.Weights):
        return source
    return published_weights.imagenet(depth, preactivation) if source == "imagenet" else weight_files.read(source)


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
    shortcut: str | None = "B",
    **options,
) -> ResidualNetwork:
    """A residual network for ImageNet (Table 1), or with `shortcut=None` the plain network of that depth.

    Args:
        depth: 18, 34, 50, 101 or 152.
        include_top: Whether the network ends in average pooling and the classifier.
        weights: None; the path of a file that `save_weights` has written (`.weights.h5`), or of any layout in
            `conversion.LAYOUTS`, for a network of the same arguments; or `"imagenet"` for those that Keras downloads.
            Without the top, those of a classifier are passed over. For other channels than three, the first kernel is
            adapted.
        input_tensor: Symbolic tensor to start from, instead of a new input.
        input_shape: (height, width, channels), or with the channels first; height and width may be None. Any number of
            channels, and any size from the product of the strides on (32 for ImageNet, 4 for CIFAR networks). Defaults
            to (224, 224, 3), for CIFAR (32, 32, 3), and to any size of three channels without the top.
        pooling: Without the top: None (the last feature map), `"avg"` or `"max"`.
        classes: Outputs of the classifier. Defaults to 1000, for CIFAR networks to 10.
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
            file; outputs differ by rounding. For ImageNet networks only.
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
        FileNotFoundError, ConnectionError: if the weights are not there, or cannot be downloaded.

    Reference:
        He et al., 2015, Table 1 and Section 3.3.

    Differs from the paper:
        Convolutions have no bias; the paper's release has one in the first convolution of ResNet-50.
    """
    architecture = architectures.imagenet(depth)
    name = name or _name("resnet", depth, shortcut)
    standard = (include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    return _network(architecture, *standard, shortcut=shortcut, **options)


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
    shortcut: str | None = "A",
    block: architectures.Block = "basic",
    **options,
) -> ResidualNetwork:
    """A residual network for 32x32 images (Section 4.2), or with `shortcut=None` the plain network of that depth.

    Args:
        depth: 6n+2 (20, 32, 44, 56, 110, 1202, …), or 9n+2 (164, 1001, …) with bottlenecks.
        shortcut: As in `ResNet`; the paper uses `"A"` everywhere.
        block: `"basic"`, or `"bottleneck"` for the networks of He et al., 2016.

    The other arguments are those of `ResNet`.

    Returns:
        A `ResidualNetwork`.

    Raises:
        ValueError: for a depth, an option, a size or weights that do not fit.

    Reference:
        He et al., 2015, Section 4.2.
    """
    architecture = architectures.cifar(depth, block)
    name = name or "cifar_" + _name("resnet", depth, shortcut)
    standard = (include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    return _network(architecture, *standard, shortcut=shortcut, **options)


def _name(residual: str, depth: int, shortcut: str | None) -> str:
    return f"{residual if shortcut else 'plainnet'}{depth}"


def _builder(general: Callable, depth: int, classes: int, doc: str, **fixed) -> Callable[..., ResidualNetwork]:
    """The builder of one depth, with the signature of keras.applications."""

    def build(
        include_top: bool = True,
        weights=None,
        input_tensor=None,
        input_shape: tuple | None = None,
        pooling: str | None = None,
        classes: int = classes,
        classifier_activation="softmax",
        name: str | None = None,
        **options,
    ) -> ResidualNetwork:
        standard = (include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
        return general(depth, *standard, **fixed, **options)

    prefix = general.__name__ if fixed.get("shortcut", "A") else general.__name__.replace("ResNet", "PlainNet")
    build.__name__ = build.__qualname__ = f"{prefix}{depth}"
    build.__doc__ = f"{doc}\n\nThe arguments are those of `{general.__name__}`, without the depth."
    return build


def _resnet(depth: int):
    return _builder(ResNet, depth, 1000, f"ResNet-{depth} for ImageNet (He et al., 2015, Table 1).")


def _plain(depth: int):
    doc = f"The plain network of {depth} layers, without shortcuts (He et al., 2015, Table 2)."
    return _builder(ResNet, depth, 1000, doc, shortcut=None)


def _cifar_resnet(depth: int):
    return _builder(CifarResNet, depth, 10, f"ResNet-{depth} for CIFAR (He et al., 2015, Table 6).")


def _cifar_plain(depth: int):
    doc = f"The plain network of {depth} layers for CIFAR, without shortcuts (He et al., 2015, Figure 6)."
    return _builder(CifarResNet, depth, 10, doc, shortcut=None)


ResNet18, ResNet34, ResNet50, ResNet101, ResNet152 = map(_resnet, (18, 34, 50, 101, 152))
PlainNet18, PlainNet34 = map(_plain, (18, 34))
CifarResNet20, CifarResNet32, CifarResNet44 = map(_cifar_resnet, (20, 32, 44))
CifarResNet56, CifarResNet110, CifarResNet1202 = map(_cifar_resnet, (56, 110, 1202))
CifarPlainNet20, CifarPlainNet32, CifarPlainNet44 = map(_cifar_plain, (20, 32, 44))
CifarPlainNet56, CifarPlainNet110 = map(_cifar_plain, (56, 110))
