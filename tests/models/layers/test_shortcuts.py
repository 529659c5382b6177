"""The two shortcuts: what they compute, the shapes they promise, and how they are chosen."""

from __future__ import annotations

from typing import get_args

import keras
import numpy as np
import pytest

from keras_resnet.facts import architectures
from keras_resnet.models.layers import SHORTCUTS, BatchNormalization, IdentityShortcut, ProjectionShortcut

LAYERS = [IdentityShortcut, ProjectionShortcut]
FORMATS = ["channels_last", "channels_first"]


def images(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def value(tensor):
    return keras.ops.convert_to_numpy(tensor)


def channels_first(array):
    return np.moveaxis(array, -1, 1)


@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 2)])
def test_option_a_is_striding_with_zeros_at_the_end_of_the_channels(size, strides):
    x = images((2, *size, 3))
    y = value(IdentityShortcut(8, strides)(x))
    np.testing.assert_array_equal(y[..., :3], x[:, ::strides, ::strides])
    assert y.shape[-1] == 8 and not y[..., 3:].any()


def test_option_a_and_a_slice_are_the_option_a_of_the_slice():
    x = images((2, 6, 6, 5))
    y = value(IdentityShortcut(9, 2)(x))
    np.testing.assert_array_equal(value(IdentityShortcut(9, 2)(x[..., :2]))[..., :2], y[..., :2])


def test_option_a_has_no_weights():
    layer = IdentityShortcut(8, 2)
    layer(images((2, 4, 4, 3)))
    assert layer.built and layer.weights == []


@pytest.mark.parametrize("strides", [1, 2])
def test_option_a_with_the_channels_first_is_the_transpose(strides):
    x = images((2, 7, 5, 3))
    first = IdentityShortcut(8, strides, data_format="channels_first")(channels_first(x))
    np.testing.assert_array_equal(value(first), channels_first(value(IdentityShortcut(8, strides)(x))))


@pytest.mark.parametrize("data_format", FORMATS)
def test_option_a_refuses_to_drop_channels(data_format):
    shape = (2, 4, 4, 9) if data_format == "channels_last" else (2, 9, 4, 4)
    with pytest.raises(ValueError, match=r"`filters` must be at least the channels of the input.*filters=8") as error:
        IdentityShortcut(8, data_format=data_format)(images(shape))
    assert f"input_shape={shape}" in str(error.value)


def test_a_projection_is_a_1x1_convolution_without_bias_and_a_batch_normalization():
    layer = ProjectionShortcut(8, 2, name="conv3_block1_0")
    x = images((4, 6, 6, 3))
    y = value(layer(x, training=True))
    convolution, normalization = layer.layers
    assert isinstance(convolution, keras.layers.Conv2D) and isinstance(normalization, BatchNormalization)
    assert [weight.path for weight in layer.weights] == [
        "conv3_block1_0/conv3_block1_0_conv/kernel",
        *(f"conv3_block1_0/conv3_block1_0_bn/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")),
    ]
    kernel = value(convolution.kernel)
    assert kernel.shape == (1, 1, 3, 8)
    projected = x[:, ::2, ::2] @ kernel[0, 0]
    mean, variance = projected.mean((0, 1, 2)), projected.var((0, 1, 2))
    np.testing.assert_allclose(y, (projected - mean) / np.sqrt(variance + 1e-5), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(value(normalization.moving_mean), 0.1 * mean, rtol=1e-4, atol=1e-6)


def test_without_normalization_a_projection_is_only_the_convolution():
    layer = ProjectionShortcut(8, 2, normalize=False)
    x = images((2, 5, 5, 3))
    np.testing.assert_allclose(value(layer(x)), x[:, ::2, ::2] @ value(layer.conv.kernel)[0, 0], rtol=1e-4, atol=1e-5)
    assert [tuple(weight.shape) for weight in layer.weights] == [(1, 1, 3, 8)]


def test_a_frozen_projection_infers():
    layer = ProjectionShortcut(8, 2)
    x = images((4, 6, 6, 3))
    layer(x, training=True)
    layer.trainable = False
    before = layer.get_weights()
    np.testing.assert_array_equal(value(layer(x, training=True)), value(layer(x, training=False)))
    assert all(np.array_equal(*pair) for pair in zip(before, layer.get_weights(), strict=True))
    assert layer.trainable_variables == []


@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("layer", LAYERS)
def test_the_promised_shape_is_the_real_one_and_rounds_up(layer, strides):
    for height, width in [(1, 1), (2, 3), (4, 7), (9, 8), (5, 6)]:
        shortcut = layer(6, strides)
        shape = (2, height, width, 4)
        expected = (2, -(-height // strides), -(-width // strides), 6)
        assert shortcut.compute_output_shape(shape) == tuple(shortcut(images(shape)).shape) == expected


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("layer", LAYERS)
def test_unknown_sizes_stay_unknown(layer, data_format):
    last = data_format == "channels_last"
    shape = (None, None, None, 4) if last else (None, 4, None, None)
    shortcut = layer(6, 2, data_format=data_format)
    expected = (None, None, None, 6) if last else (None, 6, None, None)
    assert shortcut.compute_output_shape(shape) == expected
    assert tuple(shortcut(keras.Input(shape[1:])).shape) == expected


@pytest.mark.parametrize("data_format", FORMATS)
def test_the_data_format_defaults_to_that_of_keras(data_format):
    before = keras.config.image_data_format()
    keras.config.set_image_data_format(data_format)
    try:
        shortcuts = [layer(6) for layer in LAYERS]
    finally:
        keras.config.set_image_data_format(before)
    assert {shortcut.data_format for shortcut in shortcuts} == {data_format}
    assert shortcuts[1].conv.data_format == data_format
    assert shortcuts[1].bn.axis == (-1 if data_format == "channels_last" else 1)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(
    "layer",
    [
        lambda **options: IdentityShortcut(6, 2, **options),
        lambda **options: ProjectionShortcut(6, 2, **options),
        lambda **options: ProjectionShortcut(6, 2, normalize=False, **options),
    ],
    ids=["identity", "projection", "convolution"],
)
def test_survives_a_file(layer, policy, tmp_path):
    network = keras.Sequential([keras.Input((5, 5, 3)), layer(dtype=policy, name="conv3_block1_0")])
    x = images((2, 5, 5, 3))
    network(x, training=True)
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    assert type(again.layers[0]) is type(network.layers[0])
    assert again.layers[0].get_config() == network.layers[0].get_config()
    assert again(x).dtype == network(x).dtype == network.layers[0].compute_dtype
    np.testing.assert_array_equal(*(keras.ops.cast(model(x), "float32") for model in (again, network)))


def test_every_argument_is_in_the_configuration():
    options = {"filters": 6, "strides": 2, "normalize": True, "synchronized": True, "data_format": "channels_first"}
    layer = ProjectionShortcut(**options)
    assert options.items() <= layer.get_config().items()
    again = ProjectionShortcut.from_config(layer.get_config())
    assert again.bn.synchronized and again.bn.axis == 1


NOTHING, IDENTITY = {}, {"conv3_block1_0": IdentityShortcut}
CONVOLUTION = {"conv3_block1_0_conv": keras.layers.Conv2D}
PROJECTION = CONVOLUTION | {"conv3_block1_0_bn": BatchNormalization}


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(
    ("option", "where_the_shape_stays", "where_the_size_changes", "where_the_channels_change"),
    [
        ("A", NOTHING, IDENTITY, IDENTITY),
        ("B", NOTHING, IDENTITY, PROJECTION),
        ("C", PROJECTION, PROJECTION, PROJECTION),
    ],
)
def test_options_are_those_of_section_3_3(
    option, where_the_shape_stays, where_the_size_changes, where_the_channels_change, first
):
    """With pre-activation (`first`), what is activated is projected, and not normalized."""

    def layers(in_filters, filters, strides):
        x, activated = keras.Input((4, 4, in_filters)), keras.Input((4, 4, in_filters))
        options = {"activated": activated if first else None, "data_format": "channels_last", "name": "conv3_block1_0"}
        y = SHORTCUTS[option](x, filters, strides, **options)
        assert y.shape == (None, 4 // strides, 4 // strides, filters)
        built = keras.Model([x, activated], y).layers
        return {layer.name: type(layer) for layer in built if not isinstance(layer, keras.layers.InputLayer)}

    def expected(kinds):
        return CONVOLUTION if first and kinds is PROJECTION else kinds

    assert layers(16, 16, 1) == expected(where_the_shape_stays)
    assert layers(16, 16, 2) == expected(where_the_size_changes)
    for strides in (1, 2):
        assert layers(16, 32, strides) == expected(where_the_channels_change)


def test_every_option_of_the_facts_has_its_row():
    assert list(SHORTCUTS) == list(get_args(get_args(architectures.Shortcut)[0]))
