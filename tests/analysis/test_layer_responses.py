"""Layer responses: the standard deviation over every number that a layer puts out."""

from __future__ import annotations

import random

import keras
import numpy as np
import pytest

from keras_resnet import CifarResNet, ResNet
from keras_resnet.analysis.layer_responses import layer_responses
from keras_resnet.models import weights_loading
from keras_resnet.models.layers.batch_normalization import BatchNormalization
from older_networks import as_in_0_2
from tiers import slow

IMAGES = np.random.default_rng(0).integers(0, 256, (11, 8, 8, 3), np.uint8)


def make(builder=CifarResNet, depth: int = 8, side: int = 8, **options) -> keras.Model:
    """A network from uint8 images whose normalizations all differ from the identity, and from each other."""
    random.seed(1)
    pixels = keras.Input((side, side, 3), dtype="uint8")
    image = keras.layers.Rescaling(1 / 128, offset=-1, dtype="float32")(pixels)
    network = builder(depth, input_tensor=image, classes=10, classifier_activation=None, **options)
    noise = np.random.default_rng(1)
    for layer in network._flatten_layers():
        if isinstance(layer, BatchNormalization):
            layer.set_weights([noise.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return network


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """For the tests that leave it as it is."""
    return make()


@pytest.fixture(scope="module")
def whole(network) -> list[tuple[str, float]]:
    """Its responses to all images in one batch."""
    return layer_responses(network, [IMAGES])


def numbers(network: keras.Model, layer: str, images: np.ndarray) -> np.ndarray:
    """Everything that a layer outside of blocks puts out, in float64."""
    return keras.Model(network.input, network.get_layer(layer).output)(images, training=False).numpy().astype("float64")


@pytest.mark.parametrize("shortcut", ["A", None, *slow("BC")])
def test_every_3x3_layer_is_measured_after_its_normalization_and_before_the_addition(shortcut):
    network = make(shortcut=shortcut)
    responses = layer_responses(network, [IMAGES])
    blocks = [f"conv{stage}_block1_{k}_bn" for stage in (2, 3, 4) for k in (1, 2)]
    assert [name for name, _ in responses] == ["conv1_bn", *blocks]
    for name, deviation in responses:
        assert type(deviation) is float
        assert deviation == pytest.approx(numbers(network, name, IMAGES).std(), rel=1e-5), name


def test_batches_of_any_size_give_the_same(network, whole):
    names, deviations = zip(*layer_responses(network, [IMAGES[:4], IMAGES[4:8], IMAGES[8:]]), strict=True)
    assert names == tuple(name for name, _ in whole)
    assert deviations == pytest.approx([deviation for _, deviation in whole], rel=1e-6)


def test_a_mean_that_is_large_beside_the_deviation_costs_no_digits():
    """Sums in float32 would have none left; the outputs themselves are rounded to a hundredth of the deviation."""
    network = make()
    conv1 = network.get_layer("conv1_bn")
    conv1.gamma.assign(np.full(16, 1e-3))
    conv1.beta.assign(np.full(16, 100.0))
    [(name, deviation), *_] = layer_responses(network, [IMAGES])
    assert deviation == pytest.approx(numbers(network, name, IMAGES).std(), rel=1e-3)
    assert deviation < 0.01


@pytest.mark.parametrize("builder", [CifarResNet, as_in_0_2])
def test_rematerialized_blocks_are_looked_into(builder):
    flat, remat = make(shortcut="B"), make(builder, shortcut="B", remat=True)
    weights_loading.assign(remat, weights_loading.state_dict(flat))
    expected, found = (dict(layer_responses(model, [IMAGES])) for model in (flat, remat))
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_a_bottleneck_has_one_3x3_layer_and_conv1_of_imagenet_is_none():
    network = make(ResNet, 50, side=64)
    names = [name for name, _ in layer_responses(network, [IMAGES[:1].repeat(8, 1).repeat(8, 2)])]
    blocks = {2: 3, 3: 4, 4: 6, 5: 3}
    assert names == [f"conv{stage}_block{i + 1}_2_bn" for stage, count in blocks.items() for i in range(count)]


def test_the_last_convolution_before_an_addition_without_normalization_is_measured_itself():
    names = [name for name, _ in layer_responses(make(preactivation=True), [IMAGES])]
    blocks = [f"conv{stage}_block1_{end}" for stage in (2, 3, 4) for end in ("1_bn", "2_conv")]
    assert names == ["conv1_conv", *blocks]


def test_moving_statistics_are_used_and_kept(network):
    before = [np.array(weight) for weight in network.weights]
    layer_responses(network, [IMAGES[:2]])
    for weight, kept in zip(network.weights, before, strict=True):
        np.testing.assert_array_equal(weight, kept)


@pytest.mark.parametrize("batches", [[], [IMAGES[:0]]], ids=["no batch", "an empty one"])
def test_no_image_is_refused(network, batches):
    with pytest.raises(ValueError, match="must hold at least one image. Received: none"):
        layer_responses(network, batches)


def test_a_network_without_3x3_layers_is_refused():
    image = keras.Input((8, 8, 3))
    network = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(image)), name="dense")
    with pytest.raises(ValueError, match="`network` must have 3x3 convolutions of this package. 'dense' has none"):
        layer_responses(network, [])


def test_responses_that_are_not_finite_are_named():
    network = make()
    kernel = network.get_layer("conv3_block1_1_conv").kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    with pytest.raises(ValueError, match="must be finite. Those of conv3_block1_1_bn are not"):
        layer_responses(network, [IMAGES])
