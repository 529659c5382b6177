"""The first convolution of a network in float32, to which a TPU adds channels of zeros. Run as a program, on JAX."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from backend_process import run_on
from keras_resnet.models.layers.convolution_of_images import CHANNELS, ConvolutionOfImages

SHAPE = (2, 6, 6, 3)


def conv(**options) -> keras.layers.Conv2D:
    layer = keras.layers.Conv2D(**({"filters": 4, "kernel_size": 3, "padding": "same", "use_bias": False} | options))
    layer.build(SHAPE)
    return layer


@pytest.mark.parametrize(
    "options",
    [{"use_bias": True}, {"activation": "relu"}, {"dtype": "mixed_bfloat16"}, {"data_format": "channels_first"}],
)
def test_only_plain_convolutions_of_float32_are_served(options):
    assert ConvolutionOfImages.serves(conv())
    assert not ConvolutionOfImages.serves(conv(**options))


def test_it_is_the_convolution():
    layer = conv(strides=2, padding="valid")
    images = np.random.default_rng(0).normal(size=SHAPE).astype("float32")
    np.testing.assert_array_equal(ConvolutionOfImages(layer)(images), layer(images))


def test_on_jax():
    done = run_on("jax", __file__)
    assert done.returncode == 0, done.stderr


def check_a_tpu_alone_gets_more_channels() -> None:
    import jax

    import keras_resnet

    network = keras_resnet.CifarResNet(8, input_shape=SHAPE[1:])
    others, images = [v.value for v in network.non_trainable_variables], np.zeros(SHAPE, "float32")

    def loss(weights, images):
        return network.stateless_call(weights, others, images, training=True)[0].sum()

    traced = jax.jit(jax.grad(loss)).trace([v.value for v in network.trainable_variables], images)
    for platform, there in (("tpu", True), ("cpu", False), ("cuda", False)):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        convolutions = [line for line in text.splitlines() if "stablehlo.convolution" in line]
        assert any(f"tensor<2x6x6x{CHANNELS}xf32>" in line for line in convolutions) == there, platform
        assert ("optimization_barrier" in text) == there, platform
    assert ConvolutionOfImages.__name__ not in network.to_json()


def check_zeros_change_nothing() -> None:
    import jax

    layer = ConvolutionOfImages(conv())
    random = np.random.default_rng(0)
    images, kernel, towards = (
        random.normal(size=shape).astype("float32") for shape in (SHAPE, (3, 3, 3, 4), (*SHAPE[:3], 4))
    )

    def computed(function):
        return jax.value_and_grad(lambda *given: (function(*given) * towards).sum(), (0, 1))(images, kernel)

    found, expected = computed(layer._padded), computed(layer._plain)
    for mine, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-5)


if __name__ == "__main__":
    check_a_tpu_alone_gets_more_channels()
    check_zeros_change_nothing()
