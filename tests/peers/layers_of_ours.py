"""Keras's own check of a layer, on those of ours that Keras does not have."""

from __future__ import annotations

import keras
from keras.src import testing

import keras_resnet
from keras_resnet import CifarResNet

IMAGES = (2, 8, 8, 4)


def rematerialized(dtype: str = "float32") -> keras.layers.Layer:
    """A block of a convolution, batch normalization and the identity, all of one policy."""
    inputs = keras.Input(IMAGES[1:], dtype=keras.dtype_policies.get(dtype).compute_dtype)
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, dtype=dtype)(inputs)
    x = keras_resnet.BatchNormalization(dtype=dtype)(x)
    block = keras.Model(inputs, keras.layers.Add(dtype=dtype)([inputs, x]))
    return keras_resnet.Rematerialized(block, dtype=dtype)


class LayersOfOursTest(testing.TestCase):
    def test_identity_shortcut(self):
        self.run_layer_test(
            keras_resnet.IdentityShortcut,
            init_kwargs={"filters": 6, "strides": 2, "data_format": "channels_last"},
            input_shape=IMAGES,
            expected_output_shape=(2, 4, 4, 6),
            expected_num_trainable_weights=0,
            expected_num_non_trainable_weights=0,
        )

    def test_projection_shortcut(self):
        self.run_layer_test(
            keras_resnet.ProjectionShortcut,
            init_kwargs={"filters": 6, "strides": 2, "data_format": "channels_last"},
            input_shape=IMAGES,
            expected_output_shape=(2, 4, 4, 6),
            expected_num_trainable_weights=3,
            expected_num_non_trainable_weights=2,
        )

    def test_space_to_depth(self):
        self.run_layer_test(
            keras_resnet.SpaceToDepthConv2D,
            init_kwargs={"filters": 5, "kernel_size": 3, "strides": 2, "data_format": "channels_last"},
            input_shape=IMAGES,
            expected_output_shape=(2, 3, 3, 5),
            expected_num_trainable_weights=2,
            expected_num_non_trainable_weights=0,
        )

    def test_rematerialized(self):
        self.run_layer_test(
            rematerialized,
            init_kwargs={},
            input_shape=IMAGES,
            expected_output_shape=IMAGES,
            expected_num_trainable_weights=3,
            expected_num_non_trainable_weights=2,
        )

    def test_a_network_as_a_layer(self):
        self.run_layer_test(
            lambda: CifarResNet(8, input_shape=IMAGES[1:]),
            init_kwargs={},
            input_shape=IMAGES,
            expected_output_shape=(2, 10),
            run_mixed_precision_check=False,  # the builders take the global policy, as keras.applications does
        )
