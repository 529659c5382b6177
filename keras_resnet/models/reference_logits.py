"""Reference logits: those of a source's own framework with its weights, to compare ours with."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
import numpy as np

from keras_resnet.facts.network_spec import NetworkSpec
from keras_resnet.models import compiled
from keras_resnet.models.weights_loading import assign
from keras_resnet.weights.conversion.layouts import LAYOUTS
from keras_resnet.weights.conversion.translation import check_fits

EPSILON = 1e-5
"""Of PyTorch's batch normalization."""
NAMES = {"torchvision": ("downsample", "fc"), "akamaster": ("shortcut", "linear")}
"""Names of a projection and of the classifier by layout: not from the map of names that is to be proved right."""


def torch_logits(
    state_dict: Mapping[str, np.ndarray], layout: str, spec: NetworkSpec, images: np.ndarray
) -> np.ndarray:
    """The logits of a network that PyTorch computes from weights of its names, without any layer of ours.

    Args:
        state_dict: Arrays by the names of a layout of PyTorch.
        layout: A key of `LAYOUTS`.
        spec: Specification of the network; it has a classifier.
        images: float32 [batch, height, width, channels], as the network wants them.

    Returns:
        float32 [batch, classes].

    Raises:
        ModuleNotFoundError: if torch is not installed.
    """
    import torch

    weights = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in state_dict.items()}
    with torch.no_grad():
        x = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        return _forward(x, weights, layout, spec).numpy()


def _forward(x, weights, layout: str, spec: NetworkSpec):
    from torch.nn import functional

    def conv_bn(x, conv: str, bn: str, stride: int = 1):
        kernel = weights[f"{conv}.weight"]
        x = functional.conv2d(x, kernel, None, stride, kernel.shape[-1] // 2)
        moments = (weights[f"{bn}.{moment}"] for moment in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(x, *moments, eps=EPSILON)

    large, (projection, top) = spec.family == "imagenet", NAMES[layout]
    x = conv_bn(x, "conv1", "bn1", 2 if large else 1).relu()
    if large and spec.pool_padding == "same":  # as the paper's release: one pixel more behind, and none before
        x = functional.max_pool2d(functional.pad(x, (0, 1, 0, 1)), 3, 2)  # zeros: there is nothing below them
    elif large:
        x = functional.max_pool2d(x, 3, 2, 1)
    for block in spec.architecture.plan():
        name, count = f"layer{block.stage - 1}.{block.index - 1}", 3 if spec.block == "bottleneck" else 2
        strided = 2 if spec.bottleneck_stride == "3x3" else 1
        y = x
        for k in range(1, count + 1):
            stride = block.strides if k == strided else 1
            y = conv_bn(y, f"{name}.conv{k}", f"{name}.bn{k}", stride)
            y = y.relu() if k < count else y
        if f"{name}.{projection}.0.weight" in weights:
            x = conv_bn(x, f"{name}.{projection}.0", f"{name}.{projection}.1", block.strides)
        elif spec.shortcut:
            extra = block.out_filters - block.in_filters
            before = extra // 2 if LAYOUTS[layout].centered else 0
            x = x[:, :, :: block.strides, :: block.strides]
            x = functional.pad(x, (0, 0, 0, 0, before, extra - before))
        y = y + x if spec.shortcut else y
        x = y.relu()
    return functional.linear(x.mean((2, 3)), weights[f"{top}.weight"], weights[f"{top}.bias"])


def keras_model(state_dict: Mapping[str, np.ndarray], layout: str, spec: NetworkSpec) -> keras.Model:
    """The network of keras.applications with the weights of a state dict, from images to logits.

    Raises:
        ValueError: if it has no such network.
    """
    check_fits(spec, layout)
    name = f"ResNet{spec.depth}{'V2' if layout == 'keras_v2' else ''}"
    side, top = spec.architecture.image_size, spec.classes is not None
    model = getattr(keras.applications, name)(
        include_top=top,
        weights=None,
        input_shape=(side, side, spec.channels),
        classes=spec.classes or 1000,
        classifier_activation=None,
    )
    assign(model, state_dict)
    return model


def hub_model(state_dict: Mapping[str, np.ndarray], layout: str, spec: NetworkSpec) -> keras.Model:
    """The network of KerasHub with the weights of a state dict, from images to logits.

    Raises:
        ModuleNotFoundError: if keras_hub is not installed.
        ValueError: if it has no such network.
    """
    import keras_hub

    check_fits(spec, layout)

    architecture = spec.architecture
    side = architecture.image_size
    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[architecture.stem.filters],
        input_conv_kernel_sizes=[architecture.stem.kernel],
        stackwise_num_filters=list(architecture.filters),
        stackwise_num_blocks=list(architecture.blocks),
        stackwise_num_strides=[1] + [2] * (len(architecture.blocks) - 1),
        block_type=f"{spec.block}_block",
        image_shape=(side, side, spec.channels),
    )
    model = keras_hub.models.ResNetImageClassifier(backbone, num_classes=spec.classes) if spec.classes else backbone
    assign(model, state_dict)
    return model


def keras_logits(
    state_dict: Mapping[str, np.ndarray], layout: str, spec: NetworkSpec, images: np.ndarray
) -> np.ndarray:
    """The logits that a model of Keras, of another package, computes; as `torch_logits`."""
    return compiled.of_images(MODELS[layout](state_dict, layout, spec))(images)


MODELS: dict[str, Callable[[Mapping[str, np.ndarray], str, NetworkSpec], keras.Model]] = {
    "keras": keras_model,
    "keras_v2": keras_model,
    "keras_hub": hub_model,
}
"""Builders of the network with a state dict's weights, by layout of a package that is Keras's as well."""

REFERENCES: dict[str, Callable[[Mapping[str, np.ndarray], str, NetworkSpec, np.ndarray], np.ndarray]] = {
    "torchvision": torch_logits,
    "akamaster": torch_logits,
    **dict.fromkeys(MODELS, keras_logits),
}
"""Logits of a state dict in the framework that it comes from, by layout."""
