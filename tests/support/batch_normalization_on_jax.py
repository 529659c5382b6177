"""Batch normalization on the JAX backend, on as many devices as each case has: a program of eight.

Reads cases from a JSON file and their arrays from an `.npz` file, and writes what each computed into another one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import keras
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from keras_resnet.models.layers import BatchNormalization, Rematerialized
from keras_resnet.models.layers.batch_normalization import set_normalization_batch_size
from keras_resnet.models.layers.replicas import AXIS


def network_of(shape: tuple[int, ...], weights: list[np.ndarray], case: dict) -> keras.Model:
    """A network of one layer, with the weights of a case."""
    layer = BatchNormalization(**case.get("options", {}))
    inputs = keras.Input(shape[1:], dtype=layer.compute_dtype)
    outputs = layer(inputs)
    if case.get("rematerialized"):
        outputs = Rematerialized(keras.Model(inputs, outputs), dtype=layer.dtype_policy)(inputs)
    network = keras.Model(inputs, outputs)
    network.set_weights(weights)
    set_normalization_batch_size(network, case.get("size"))
    return network


def training_step(network: keras.Model, replicas: int) -> Callable:
    """From inputs and what their outputs are multiplied with to what a training step computes of them."""
    groups = network.trainable_variables, network.non_trainable_variables
    trainable, state = ([variable.value for variable in group] for group in groups)

    def replica(inputs, towards):
        def loss(inputs, trainable):
            outputs, new = network.stateless_call(trainable, state, inputs, training=True)
            return (outputs.astype("float32") * towards).sum(), (outputs, new)

        (d_inputs, gradients), (outputs, new) = jax.grad(loss, argnums=(0, 1), has_aux=True)(inputs, trainable)
        return outputs, d_inputs, jax.lax.psum(gradients, AXIS), jax.lax.pmean(new, AXIS)

    mesh = Mesh(jax.devices()[:replicas], (AXIS,))
    specs = {"in_specs": P(AXIS), "out_specs": (P(AXIS), P(AXIS), P(), P())}
    return jax.jit(jax.shard_map(replica, mesh=mesh, **specs, check_vma=False))


def computed(case: dict, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs, the gradients of inputs and weights, and new moving statistics; or what was refused."""
    inputs, towards, *weights = (arrays[key] for key in case["arrays"])
    network = network_of(inputs.shape, weights, case)
    inputs = keras.ops.cast(inputs, network.inputs[0].dtype)
    if case.get("inference"):
        return {"outputs": np.asarray(network(inputs))}
    try:
        step = training_step(network, case.get("replicas", 1))
        outputs, d_inputs, gradients, state = step(inputs, towards)
    except ValueError as error:
        return {"refused": np.array(str(error))}
    results = [outputs, d_inputs, *gradients, *state]
    found = {str(i): np.asarray(values.astype("float32")) for i, values in enumerate(results)}
    communicates = step.lower(inputs, towards).as_text().count("stablehlo.all_reduce")
    return found | {"dtype": np.array(str(outputs.dtype)), "all_reduces": np.array(communicates)}


def main(cases: str, arrays: str, results: str) -> None:
    with np.load(arrays) as given:
        found = {
            f"{name}/{key}": values
            for name, case in json.loads(Path(cases).read_text(encoding="utf-8")).items()
            for key, values in computed(case, dict(given)).items()
        }
    np.savez(results, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
