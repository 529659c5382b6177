"""A small network of bottlenecks on the JAX backend: what it is, and what training computes of it."""

from __future__ import annotations

import jax
import keras
import numpy as np

from keras_resnet.models.blocks import bottleneck_block
from keras_resnet.models.layers.batch_normalization import set_normalization_batch_size
from keras_resnet.models.layers.batch_statistics.jax_product import grouped_normalized_product
from keras_resnet.models.layers.normalized_product import NormalizedProduct
from keras_resnet.models.residual_network import ResidualNetwork

IMAGES = (8, 6, 6, 16)


def network_of(policy: str, *, remat: bool = False) -> ResidualNetwork:
    """Two bottlenecks, the first with a projection, which widen 8 channels to 32, and 16."""
    keras.config.set_dtype_policy(policy)
    x = inputs = keras.Input(IMAGES[1:])
    for block in (1, 2):
        x = bottleneck_block(x, 8, name=f"conv2_block{block}")
    network = ResidualNetwork(inputs, x, remat=remat)
    keras.config.set_dtype_policy("float32")
    random = np.random.default_rng(1)
    spread = {"gamma": (1.0, 0.2), "beta": (0.0, 0.3), "kernel": (0.0, 0.3), "moving_mean": (0.0, 1.0)}
    for variable in network.weights:
        kind = variable.path.rpartition("/")[2]
        variable.assign(random.normal(*spread[kind], variable.shape) if kind in spread else np.ones(variable.shape))
    return network


def step_of(network: keras.Model):
    """From images to what a training step computes of them."""
    groups = network.trainable_variables, network.non_trainable_variables
    weights, state = ([variable.value for variable in group] for group in groups)
    towards = np.float32(np.random.default_rng(2).normal(size=(*IMAGES[:-1], 32)))

    def loss(images, trainable):
        outputs, new = network.stateless_call(trainable, state, images, training=True)
        return (outputs.astype("float32") * towards).sum(), (outputs, new)

    step = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))
    return lambda images: step(images, weights)


def trained(network: keras.Model) -> list[np.ndarray]:
    """The gradients of images and weights, outputs, and new moving statistics."""
    images = np.random.default_rng(3).normal(0.5, 1.0, IMAGES).astype("float32")
    return [np.asarray(values, "float32") for values in jax.tree.leaves(step_of(network)(images))]


def graph(network: ResidualNetwork) -> keras.Model:
    """Layer after layer, as the network is in inference."""
    return keras.Model(network.input, network.output)


def errors(computed: list[np.ndarray], expected: list[np.ndarray]) -> np.ndarray:
    """The root mean square of each difference, as a share of the values'."""
    return np.array([np.sqrt(np.mean((x - y) ** 2) / np.mean(y**2)) for x, y in zip(computed, expected, strict=True)])


def products_of_the_forward_pass(network: keras.Model) -> int:
    """Number of matrix products; those of these layers alone are all convolutions."""
    variables = network.trainable_variables, network.non_trainable_variables
    states = [[variable.value for variable in group] for group in variables]
    images = np.zeros(IMAGES, "float32")
    lowered = jax.jit(lambda x: network.stateless_call(*states, x, training=True)).lower(images)
    return lowered.as_text().count("dot_general")


def check_that_rounding_is_all_that_differs() -> None:
    network = network_of("mixed_bfloat16")
    exact = trained(network_of("float32"))
    jointly, one_by_one = (errors(trained(model), exact) for model in (network, graph(network)))
    assert products_of_the_forward_pass(network) > 0 == products_of_the_forward_pass(graph(network))
    assert one_by_one.max() < 0.2, one_by_one
    assert jointly.mean() < 1.1 * one_by_one.mean(), (jointly, one_by_one)
    assert (jointly < 2 * one_by_one + 1e-4).all(), (jointly, one_by_one)


def check_that_rematerialized_blocks_join_too() -> None:
    kept, again = (trained(network_of("mixed_bfloat16", remat=remat)) for remat in (False, True))
    assert errors(again, kept).max() < 1e-2
    assert products_of_the_forward_pass(network_of("mixed_bfloat16", remat=True)) > 0


def check_that_the_rest_is_computed_layer_by_layer() -> None:
    """Float32, groups of images of few channels, what is frozen, and inference."""
    network = network_of("float32")
    assert products_of_the_forward_pass(network) == 0
    for mine, other in zip(trained(network), trained(graph(network)), strict=True):
        np.testing.assert_array_equal(mine, other)
    low = network_of("mixed_bfloat16")
    set_normalization_batch_size(low, 4)
    assert products_of_the_forward_pass(low) == 0
    set_normalization_batch_size(low, 8)
    assert products_of_the_forward_pass(low) > 0
    assert NormalizedProduct._are_served(groups=4, replicas=1, channels=256)
    assert not NormalizedProduct._are_served(groups=1, replicas=4, channels=256)
    low.trainable = False
    assert products_of_the_forward_pass(low) == 0


def check_the_network_is_none_the_wiser() -> None:
    network = network_of("mixed_bfloat16")
    assert "NormalizedProduct" not in network.to_json()
    assert {type(layer).__name__ for layer in network.layers} == {
        "InputLayer", "Conv2D", "BatchNormalization", "Activation", "Add"
    }  # fmt: skip
    assert [v.path for v in network.variables] == [v.path for v in graph(network).variables]


def check_the_gradients() -> None:
    """Of the function alone, of all images and of groups, in float32, beside those that JAX derives of the formula."""
    random = np.random.default_rng(0)
    h = np.maximum(random.normal(size=(6, 5, 4, 6)), 0.0).astype("float32")
    w, gamma, beta, towards = (
        random.normal(size=shape).astype("float32") for shape in [(6, 16), (16,), (16,), (6, 5, 4, 16)]
    )

    def plain(h, w, gamma, beta, epsilon, groups):
        z = (h @ w).reshape(groups, -1, *towards.shape[1:])
        mean, variance = (moment((1, 2, 3), keepdims=True) for moment in (z.mean, z.var))
        outputs = (z - mean) * jax.lax.rsqrt(variance + epsilon) * gamma + beta
        return outputs.reshape(towards.shape), mean.mean((0, 1, 2, 3)), variance.mean((0, 1, 2, 3))

    def computed(function, groups):
        def loss(*arguments):
            outputs, *moments = function(*arguments, 1e-5, groups)
            return (outputs * towards).sum(), (outputs, *moments)

        return jax.tree.leaves(jax.grad(loss, argnums=(0, 1, 2, 3), has_aux=True)(h, w, gamma, beta))

    for groups in (1, 3):
        with jax.default_matmul_precision("float32"):
            found, expected = computed(grouped_normalized_product, groups), computed(plain, groups)
        assert errors([np.asarray(x) for x in found], [np.asarray(x) for x in expected]).max() < 1e-5


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
