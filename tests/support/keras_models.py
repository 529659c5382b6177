"""Networks of keras.applications and KerasHub with weights of no meaning, to compare logits with."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras.src.applications import resnet

SHAPE, CLASSES = (64, 64, 3), 7
HUB_BLOCKS = {18: ("basic_block", [2, 2, 2, 2]), 50: ("bottleneck_block", [3, 4, 6, 3])}


def applications(depth: int = 50, **options) -> keras.Model:
    """One of keras.applications, stirred."""
    build = small_applications if depth == 14 else getattr(keras.applications, f"ResNet{depth}")
    if options.get("include_top", True):
        options = {"classes": CLASSES, "classifier_activation": None} | options
    return stirred(build(weights=None, input_shape=SHAPE, **options))


def small_applications(version: int = 1, **options) -> keras.Model:
    """The network of keras.applications with one block in each stage, of V2 two; `small_depths` has ours."""
    stack = {1: resnet.stack_residual_blocks_v1, 2: resnet.stack_residual_blocks_v2}[version]
    strides = {1: (1, 2, 2, 2), 2: (2, 2, 2, 1)}[version]

    def stages(x):
        for stage, stride in enumerate(strides):
            x = stack(x, 64 << stage, version, stride1=stride, name=f"conv{stage + 2}")
        return x

    return resnet.ResNet(stages, version == 2, True, **options)


def hub_backbone(depth: int, **options) -> keras.Model:
    """One of KerasHub, which is skipped where that is missing."""
    keras_hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed", exc_type=ImportError)
    block_type, blocks = HUB_BLOCKS[depth]
    arguments = {
        "input_conv_filters": [64],
        "input_conv_kernel_sizes": [7],
        "stackwise_num_filters": [64, 128, 256, 512],
        "stackwise_num_blocks": blocks,
        "stackwise_num_strides": [1, 2, 2, 2],
        "block_type": block_type,
        "image_shape": SHAPE,
    }
    return stirred(keras_hub.models.ResNetBackbone(**(arguments | options)))


def hub_classifier(depth: int) -> keras.Model:
    """A classifier of KerasHub to logits, stirred."""
    backbone = hub_backbone(depth)
    import keras_hub

    return stirred(keras_hub.models.ResNetImageClassifier(backbone, num_classes=CLASSES))


def stirred(model: keras.Model) -> keras.Model:
    """With biases, statistics, gammas and betas unlike those of the start, which would hide a wrong one."""
    random = np.random.default_rng(0)
    for variable in model.weights:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
        elif variable.name != "kernel":
            variable.assign(random.normal(0, 0.3, variable.shape))
    return model


def images(count: int = 4) -> np.ndarray:
    """float32 [count, height, width, 3], as networks want them."""
    return np.random.default_rng(1).normal(size=(count, *SHAPE)).astype("float32")


def assert_same_logits(expected, logits) -> None:
    """That they differ by at most 1e-4 of the range of those expected, and have the same first class."""
    expected, logits = np.array(expected), np.array(logits)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4 * np.ptp(expected))
    np.testing.assert_array_equal(logits.argmax(-1), expected.argmax(-1))
