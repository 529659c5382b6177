"""The convolution by blocks against Keras's strided convolution, of which it is another computation.

Images and kernels are of small whole numbers, so that both sum them without rounding and must agree to the bit.
"""

from __future__ import annotations

import random
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.models.layers import SpaceToDepthConv2D
from keras_resnet.models.layers.space_to_depth import arrange_in_blocks

STEM = {"filters": 5, "kernel_size": 7, "strides": 2}
KINDS = [
    STEM,
    STEM | {"use_bias": True, "activation": "relu"},
    {"filters": 2, "kernel_size": 3, "strides": 2},
    {"filters": 2, "kernel_size": (3, 7), "strides": (2, 3)},
    {"filters": 2, "kernel_size": 4, "strides": 3},
    {"filters": 2, "kernel_size": 1, "strides": 2},
    {"filters": 2, "kernel_size": 3, "strides": 1},
]
SIZES = [(14, 14), (13, 14), (14, 13), (9, 7), (8, 22)]


def whole_numbers(*shape, seed=0):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype("float32")


def value(tensor):
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))


def pair(channels=3, **options):
    """Keras's layer and ours, with the same weights of whole numbers."""
    layers = [kind(**options) for kind in (keras.layers.Conv2D, SpaceToDepthConv2D)]
    for layer in layers:
        layer.build((None, None, None, channels))
        layer.set_weights([whole_numbers(*v.shape, seed=1 + i) for i, v in enumerate(layer.weights)])
    return layers


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("options", KINDS, ids=str)
def test_outputs_are_those_of_the_strided_convolution(options, size):
    strided, ours = pair(**options)
    x = whole_numbers(2, *size, 3)
    outputs = value(ours(x))
    assert outputs.any()
    np.testing.assert_array_equal(outputs, value(strided(x)))
    assert ours.compute_output_shape(x.shape) == outputs.shape


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_gradients_are_those_of_the_strided_convolution(size):
    x = tf.constant(whole_numbers(2, *size, 3))

    def gradients(layer):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x)
            loss = tf.reduce_sum(outputs * whole_numbers(*outputs.shape, seed=9))
        return tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)])

    for wanted, found in zip(*map(gradients, pair(**STEM, use_bias=True)), strict=True):
        assert value(wanted).any()
        np.testing.assert_array_equal(value(found), value(wanted))


def test_it_is_computed_without_a_stride_on_four_times_the_channels():
    _, ours = pair(**STEM)
    graph = tf.function(ours).get_concrete_function(tf.TensorSpec((2, 14, 14, 3))).graph
    (convolution,) = [operation for operation in graph.get_operations() if operation.type == "Conv2D"]
    images, kernel = convolution.inputs
    assert convolution.get_attr("strides") == [1, 1, 1, 1]
    assert (images.shape, kernel.shape) == ((2, 7, 7, 12), (4, 4, 12, 5))


@pytest.mark.parametrize("shape", [(None, None, 3), (None, 14, 3), (13, None, 3)], ids=str)
def test_an_unknown_size_computes_as_a_known_one(shape):
    strided, ours = pair(**STEM)
    image = keras.Input(shape)
    free = keras.Model(image, ours(image))
    assert free.output_shape == keras.Model(image, strided(image)).output_shape
    for size in SIZES[:3]:
        if all(known in (None, here) for known, here in zip(shape, size, strict=False)):
            x = whole_numbers(2, *size, 3)
            np.testing.assert_array_equal(free.predict(x, verbose=0), value(strided(x)))


def test_under_a_mixed_policy_the_kernel_stays_float32_and_outputs_are_bfloat16():
    strided, ours = pair(**STEM, dtype="mixed_bfloat16")
    x = whole_numbers(2, 13, 14, 3)
    outputs = ours(x)
    assert (ours.kernel.dtype, outputs.dtype) == ("float32", "bfloat16")
    np.testing.assert_allclose(value(outputs), value(strided(x)), rtol=2**-7)


@pytest.mark.parametrize("block", [(2, 2), (2, 3), (1, 1)], ids=str)
@pytest.mark.parametrize("size", [(4, 6), (5, 7)], ids=str)
def test_the_channels_of_a_block_are_its_pixels_row_by_row(size, block):
    """TensorFlow cannot convolve with the channels first on a CPU; here both forms are seen to be one."""
    x = whole_numbers(2, *size, 3)
    ends = [(0, -n % side) for n, side in zip(size, block, strict=True)]
    padded = np.pad(x, ((0, 0), *ends, (0, 0)))
    rows = [padded[:, i :: block[0]] for i in range(block[0])]
    wanted = np.concatenate([row[:, :, j :: block[1]] for row in rows for j in range(block[1])], axis=-1)
    np.testing.assert_array_equal(value(arrange_in_blocks(x, block, "channels_last")), wanted)
    first = arrange_in_blocks(np.moveaxis(x, -1, 1), block, "channels_first")
    np.testing.assert_array_equal(value(first), np.moveaxis(wanted, -1, 1))
    if block == (2, 2):
        np.testing.assert_array_equal(tf.nn.space_to_depth(padded, 2), wanted)


def test_a_seed_gives_both_layers_the_same_kernel():
    kernels = []
    for kind in (keras.layers.Conv2D, SpaceToDepthConv2D):
        random.seed(3)
        layer = kind(**STEM, name="conv")
        layer.build((None, None, None, 3))
        kernels.append((layer.kernel.path, value(layer.kernel).tolist()))
    assert kernels[0] == kernels[1]


def test_it_comes_back_from_a_file(tmp_path):
    _, ours = pair(**STEM, use_bias=False, kernel_regularizer="l2", name="conv")
    image = keras.Input((None, None, 3))
    network = keras.Model(image, ours(image))
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    layer = again.get_layer("conv")
    assert type(layer) is SpaceToDepthConv2D and layer.get_config() == ours.get_config()
    x = whole_numbers(2, 13, 14, 3)
    np.testing.assert_array_equal(value(again(x)), value(network(x)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding": "same"}, "`padding` must be 'valid' in blocks. Received: padding='same'"),
        ({"groups": 5}, "`groups` must be 1 in blocks. Received: groups=5"),
        (
            {"strides": 1, "dilation_rate": 2},
            "`dilation_rate` must be (1, 1) in blocks. Received: dilation_rate=(2, 2)",
        ),
        (
            {"kernel_size": (7, 6)},
            "`kernel_size` must be one more than a multiple of `strides`, as 7 is of 2. "
            "Received: kernel_size=(7, 6), strides=(2, 2)",
        ),
    ],
    ids=str,
)
def test_what_it_cannot_compute_is_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        SpaceToDepthConv2D(**(STEM | options))
