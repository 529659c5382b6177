"""A network's specification, read off its layers, builds it again."""

from __future__ import annotations

import keras
import pytest

import keras_resnet
from cheap_kernels import cheap_kernels
from keras_resnet.facts.network_spec import NetworkSpec
from keras_resnet.models import residual_network
from keras_resnet.models.resnet import BUILDERS
from older_networks import as_in_0_2
from small_depths import small_depths
from tiers import slow

SMALL = {"input_shape": (32, 32, 3), "classes": 7}
NETWORKS = {
    "10": lambda: keras_resnet.ResNet(10, **SMALL),
    "14": lambda: keras_resnet.ResNet(14, **SMALL),
    "18": lambda: keras_resnet.ResNet18(**SMALL),
    "34 A": lambda: keras_resnet.ResNet34(shortcut="A", pool_padding="symmetric", **SMALL),
    "34 C": lambda: keras_resnet.ResNet34(shortcut="C", include_top=False),
    "34 plain": lambda: keras_resnet.PlainNet34(**SMALL),
    "50": lambda: keras_resnet.ResNet50(**SMALL),
    "50 C": lambda: keras_resnet.ResNet50(shortcut="C", bottleneck_stride="3x3", **SMALL),
    "10 one channel": lambda: keras_resnet.ResNet(10, input_shape=(32, 32, 1)),
    "cifar 8": lambda: keras_resnet.CifarResNet(8),
    "cifar 8 B": lambda: keras_resnet.CifarResNet(8, shortcut="B", remat=True),
    "cifar 8 older": lambda: as_in_0_2(8, shortcut="B", remat=True),
    "cifar 8 C": lambda: keras_resnet.CifarResNet(8, shortcut="C"),
    "cifar 14 plain": lambda: keras_resnet.CifarResNet(14, shortcut=None, preactivation=True),
    "cifar 11 B": lambda: keras_resnet.CifarResNet(11, block="bottleneck", shortcut="B", preactivation=True),
    "cifar 20 C": lambda: keras_resnet.CifarResNet(20, block="bottleneck", shortcut="C"),
    "14 slim": lambda: keras_resnet.ResNet(14, preactivation="slim", bottleneck_stride="3x3", **SMALL),
    "50 slim": lambda: keras_resnet.ResNet50(preactivation="slim", bottleneck_stride="3x3", **SMALL),
    "first channels": lambda: keras_resnet.CifarResNet(8, data_format="channels_first"),
}


def described(network) -> list[tuple[str, str, tuple]]:
    layers = [layer for layer in residual_network.inner_layers(network) if not getattr(layer, "layers", None)]
    return [(layer.name, variable.name, tuple(variable.shape)) for layer in layers for variable in layer.weights]


LARGE = ["18", "34 A", "34 C", "34 plain", "50", "50 C", "50 slim"]
small_depths, cheap_kernels = map(pytest.fixture, (small_depths, cheap_kernels))


@pytest.mark.parametrize("name", [*(name for name in NETWORKS if name not in LARGE), *slow(LARGE)])
def test_a_specification_builds_the_same_network_again(small_depths, cheap_kernels, name):
    network = NETWORKS[name]()
    spec = network.spec
    given = {"input_shape": network.image_shape, "data_format": network.data_format}
    again = BUILDERS[spec.family](**given, **spec.options)
    assert again.spec == spec
    assert set(described(again)) >= {row for row in described(network) if row[0].startswith("conv")}
    assert spec.classes == (None if "34 C" in name else network.output_shape[-1])
    assert spec.channels == (1 if "one" in name else 3)


def test_a_specification_has_the_arguments_of_the_builder(small_depths, cheap_kernels):
    arguments = {"shortcut": "A", "bottleneck_stride": "3x3", "preactivation": True, "pool_padding": "symmetric"}
    network = keras_resnet.ResNet(14, classes=5, input_shape=(32, 32, 3), **arguments)
    assert network.spec == NetworkSpec("imagenet", 14, block="bottleneck", classes=5, **arguments)


def test_networks_of_others_have_none():
    inputs = keras.Input((8, 8, 3))
    network = keras_resnet.ResidualNetwork(inputs, keras.layers.Conv2D(2, 3)(inputs), name="mine")
    with pytest.raises(ValueError, match="'mine' must be a network of this package: it has no layer conv1_conv"):
        _ = network.spec
