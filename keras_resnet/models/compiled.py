"""Networks in inference, compiled by whatever backend Keras has."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

Compute = Callable[..., Any]
"""From a list of functions, of images to the outputs of a network each, and more tensors to tensors, by `keras.ops`."""


def compiled(compute: Compute, networks: Sequence[keras.Model], signature: Any = None) -> Callable[..., Any]:
    """A function of networks in inference, which the backend compiles; on torch it is run as it is.

    JAX compiles it again for each shape of its arguments. The products of float32 are float32 there, on any device.

    Args:
        compute: What is to be computed, with the networks as its first argument.
        networks: In inference, as they are at each call.
        signature: The shapes and types of the other arguments, by which TensorFlow traces them once: `network.inputs`,
            or the `element_spec` of batches. `None`: by the first arguments, and again for others.

    Returns:
        From arrays, or TensorFlow's tensors, to what `compute` returns, as arrays.
    """
    return COMPILERS[keras.backend.backend()](compute, networks, signature)


def of_images(network: keras.Model, then: Callable[[Any], Any] = lambda outputs: outputs) -> Callable[[Any], Any]:
    """Function from images to the outputs of a network, or to what `then` makes of them."""
    return compiled(lambda models, images: then(models[0](images)), [network], network.inputs)


def _tensorflow(compute: Compute, networks: Sequence[keras.Model], signature: Any) -> Callable[..., Any]:
    import tensorflow as tf

    def spec(like: Any) -> Any:
        return keras.tree.map_structure(lambda part: tf.TensorSpec(part.shape, part.dtype), like)

    def once(network: keras.Model) -> Callable:
        """A network that is traced once, for images of all sizes that it takes."""
        call = functools.partial(network, training=False)
        return tf.function(lambda images: call(images), autograph=False, input_signature=spec(network.inputs))

    function = functools.partial(compute, [once(network) for network in networks])
    traced = tf.function(
        lambda *arrays: function(*arrays), autograph=False, input_signature=spec(signature) if signature else None
    )
    return lambda *arrays: keras.tree.map_structure(lambda part: part.numpy(), traced(*arrays))


def _jax(compute: Compute, networks: Sequence[keras.Model], signature: Any) -> Callable[..., Any]:
    import jax

    @jax.jit
    def run(states: list, *arrays: Any) -> Any:
        def call(network: keras.Model, state: list, images: Any) -> Any:
            return network.stateless_call(*state, images, training=False)[0]

        models = [functools.partial(call, *each) for each in zip(networks, states, strict=True)]
        with jax.default_matmul_precision("float32"):
            return compute(models, *arrays)

    def call(*arrays: Any) -> Any:
        states = [
            [[v.value for v in of] for of in (one.trainable_variables, one.non_trainable_variables)] for one in networks
        ]
        return keras.tree.map_structure(np.asarray, run(states, *keras.tree.map_structure(np.asarray, arrays)))

    return call


def _torch(compute: Compute, networks: Sequence[keras.Model], signature: Any) -> Callable[..., Any]:
    import torch

    models = [functools.partial(network, training=False) for network in networks]

    def call(*arrays: Any) -> Any:
        with torch.no_grad():
            tensors = keras.tree.map_structure(
                lambda part: keras.ops.convert_to_tensor(np.array(part)),
                arrays,  # torch takes no array that is read-only
            )
            return keras.tree.map_structure(keras.ops.convert_to_numpy, compute(models, *tensors))

    return call


COMPILERS: dict[str, Callable[[Compute, Sequence[keras.Model], Any], Callable[..., Any]]] = {
    "tensorflow": _tensorflow,
    "jax": _jax,
    "torch": _torch,
}
"""By the names that Keras gives the backends."""


def device() -> str:
    """The device that computes, as text for people."""
    return DEVICES[keras.backend.backend()]()


def _tensorflow_device() -> str:
    import tensorflow as tf

    return (tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU"))[0].name


def _jax_device() -> str:
    import jax

    first = jax.devices()[0]
    return f"{first} ({first.device_kind}), JAX {jax.__version__}"


def _torch_device() -> str:
    import torch

    place = keras.ops.zeros(()).device
    kind = f" ({torch.cuda.get_device_name(place)})" if place.type == "cuda" else ""
    return f"{place}{kind}, torch {torch.__version__}"


DEVICES: dict[str, Callable[[], str]] = {
    "tensorflow": _tensorflow_device,
    "jax": _jax_device,
    "torch": _torch_device,
}
"""By the names that Keras gives the backends."""
