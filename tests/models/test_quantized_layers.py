"""Networks after Keras's `quantize`: their weights as floats again, or a refusal by that word."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.models import weights_loading
from keras_resnet.models.quantized_layers import dequantized, float_arrays, is_quantized
from keras_resnet.weights import conversion

IMAGES = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")


def network(mode: str | None = None) -> keras_resnet.ResidualNetwork:
    built = keras_resnet.CifarResNet(8, input_shape=(8, 8, 3), shortcut="B", classifier_activation=None)
    built.get_layer("predictions").bias.assign(np.linspace(-1, 1, 10))
    if mode:
        built.get_layer("predictions").quantize(mode)  # as network.quantize does, which warns of all other layers
    return built


@pytest.mark.parametrize(("mode", "step"), [("int8", 1 / 127), ("float8", 0), ("int4", 1 / 7)])
def test_the_kernel_comes_back_to_a_step_of_its_quantization(mode, step):
    quantized = network()
    kernel = np.array(keras.ops.convert_to_numpy(quantized.get_layer("predictions").kernel))
    quantized.get_layer("predictions").quantize(mode)
    arrays = weights_loading.state_dict(quantized)
    found = arrays["predictions/kernel"]
    assert found.dtype == "float32" and set(arrays) == set(weights_loading.state_dict(network()))
    assert np.abs(found - kernel).max() <= step * np.abs(kernel).max()
    np.testing.assert_allclose(arrays["predictions/bias"], np.linspace(-1, 1, 10), rtol=1e-6)


def test_the_kernel_is_the_one_that_is_multiplied_by():
    """Of int4, whose images are not rounded, to the bit of the logits."""
    quantized = network("int4")
    again = keras_resnet.CifarResNet(
        8, input_shape=(8, 8, 3), shortcut="B", classifier_activation=None, weights=quantized
    )
    np.testing.assert_allclose(again(IMAGES), quantized(IMAGES), atol=1e-5)
    np.testing.assert_allclose(dequantized(quantized)(IMAGES), quantized(IMAGES), atol=1e-5)


def test_a_quantized_network_is_converted():
    quantized = network("int8")
    state = conversion.from_ours(weights_loading.weights_of(quantized).arrays, "akamaster", quantized.spec)
    np.testing.assert_array_equal(state["linear.weight"].T, float_arrays(quantized.get_layer("predictions"))["kernel"])
    assert not any(map(is_quantized, dequantized(quantized)._flatten_layers()))
    plain = network()
    assert dequantized(plain) is plain


def test_a_saved_one_is_read_or_called_by_its_name(tmp_path):
    quantized = network("int8")
    quantized.save(tmp_path / "n.keras")
    found = weights_loading.read(tmp_path / "n.keras")
    np.testing.assert_array_equal(
        found.arrays["predictions/kernel"], float_arrays(quantized.get_layer("predictions"))["kernel"]
    )
    quantized.save_weights(tmp_path / "n.weights.h5")
    with pytest.raises(ValueError, match=r"n.weights.h5 holds a quantized layer, 'predictions'. Save the network from"):
        weights_loading.read(tmp_path / "n.weights.h5")


def test_a_quantized_network_takes_no_weights():
    with pytest.raises(ValueError, match=r"before it is quantized. Layer 'predictions' of .* is quantized \(int8\)"):
        weights_loading.load_weights(network("int8"), weights_loading.weights_of(network()))


def test_a_layer_of_another_kind_is_named():
    layer = keras.layers.EinsumDense("ab,bc->ac", 4, name="mine")
    layer.build((None, 4))
    layer.quantize("int8")
    with pytest.raises(ValueError, match=r"Layer 'mine' is quantized \(int8\), and its weights cannot be had back"):
        float_arrays(layer)
