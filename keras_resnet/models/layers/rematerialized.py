"""Gradient checkpointing: a block whose inner activations are computed again for the gradient instead of being kept."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable

import keras

from keras_resnet.models.layers.batch_normalization import BatchNormalization


@keras.saving.register_keras_serializable(package="keras_resnet")
class Rematerialized(keras.layers.Layer):
    """A block that keeps only its input for the backward pass and computes its inside a second time there.

    The batch statistics are updated once, by the forward pass. (`keras.remat` updates them twice.) On TensorFlow,
    blocks of the same structure share one traced function, so that a network of 600 blocks makes a graph of 600 calls.

    Args:
        block: A functional `keras.Model` with one input and one output.
        **kwargs: The arguments of `keras.layers.Layer`.

    Input shape, output shape:
        Those of `block`.

    Reference:
        Chen et al., 2016, "Training deep nets with sublinear memory cost".
    """

    def __init__(self, block: keras.Model, **kwargs):
        super().__init__(**kwargs)
        self.block = block
        self.passes = {}
        self.supports_jit = self.supports_xla()

    @staticmethod
    def supports_xla() -> bool:
        """Whether Keras may compile such blocks by itself; on TensorFlow, a thousand take longer than it saves."""
        return keras.backend.backend() != "tensorflow"

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """The layers of the block."""
        return self.block.layers

    def build(self, input_shape):
        self.block.build(input_shape)

    def call(self, inputs, training=None):
        trainable = [v.value for v in self.block.trainable_variables]
        state = [v.value for v in self.block.non_trainable_variables]
        rematerialize = REMATERIALIZE[keras.backend.backend()]
        outputs, new_state = rematerialize(self, bool(training), trainable, state, inputs)
        if training:
            mixed = self.compute_dtype != self.variable_dtype
            for variable, before, after in zip(self.block.non_trainable_variables, state, new_state, strict=True):
                # A frozen kernel went in rounded to the compute type, and stays as it is.
                if not (mixed and keras.backend.standardize_dtype(before.dtype) == self.compute_dtype):
                    variable.assign(after)
        return outputs

    def compute_output_shape(self, input_shape):
        return self.block.compute_output_shape(input_shape)

    def get_config(self):
        return super().get_config() | {"block": keras.saving.serialize_keras_object(self.block)}

    @classmethod
    def from_config(cls, config):
        block = keras.saving.deserialize_keras_object(config["block"])
        return cls(**(config | {"block": block}))


class _Passes:
    """Forward and backward pass of a block as pure TensorFlow functions of its variables' values."""

    def __init__(self, block: keras.Model, training: bool):
        self.block, self.training = block, training

    def forward(self, trainable, state, inputs):
        return self.block.stateless_call(trainable, state, inputs, training=self.training)

    def backward(self, trainable, state, inputs, gradient):
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch([trainable, inputs])
            outputs, _ = self.forward(trainable, state, inputs)
        return tape.gradient(outputs, [*trainable, inputs], gradient)


class _SharedPasses:
    """The passes of every block of one structure, traced once and called by each block instead of copied into it."""

    def __init__(self, block: keras.Model, training: bool):
        import tensorflow as tf

        self.passes = _Passes(block, training)
        keep_apart = {"experimental_attributes": {"_noinline": True}, "autograph": False}
        self.forward = tf.function(self.passes.forward, **keep_apart)
        self.backward = tf.function(self.passes.backward, **keep_apart)


_shared: weakref.WeakValueDictionary[tuple, _SharedPasses] = weakref.WeakValueDictionary()


def _passes(layer: Rematerialized, training: bool, images: int | None):
    import tensorflow as tf

    inside = layer.block._flatten_layers()
    # A function within a function cannot talk to the other replicas.
    communicates = training and any(_communicates(inner, images) for inner in inside)
    if tf.executing_eagerly() or communicates:
        return _Passes(layer.block, training)
    # What the layers' configuration leaves out.
    sizes = tuple(getattr(inner, "normalization_batch_size", None) for inner in inside)
    key = (structure(layer.block), sizes, training)
    passes = _shared.get(key) or _SharedPasses(layer.block, training)
    # The next trace is of this block: an earlier one may have been frozen since, and have another structure now.
    passes.passes.block = layer.block
    # Each layer holds what it shares, so that traces go when the last of their layers does.
    _shared[key] = layer.passes[training] = passes
    return passes


def _communicates(layer: keras.layers.Layer, images: int | None) -> bool:
    if isinstance(layer, BatchNormalization):
        return layer.communicates(images)
    return getattr(layer, "synchronized", False)


def structure(block: keras.Model) -> str:
    """The configuration of a block without the names of its layers.

    It is equal for blocks that compute the same function of their variables.
    """
    text = json.dumps(keras.saving.serialize_keras_object(block))
    for index, layer in enumerate([block, *block.layers]):
        text = text.replace(f'"{layer.name}"', f'"{index}"')
    return text


def _rematerialize_tensorflow(layer, training, trainable, state, inputs):
    import tensorflow as tf

    passes = _passes(layer, training, inputs.shape[0])
    trainable, state = ([tf.convert_to_tensor(v) for v in values] for values in (trainable, state))

    new_state = []

    @tf.custom_gradient
    def call(*arguments):
        *trainable, inputs = arguments
        # The state goes round the differentiated outputs: as one of them, each value would cost a gradient of zeros.
        outputs, new_state[:] = passes.forward(trainable, state, inputs)

        def gradient(d_outputs):
            return passes.backward(trainable, state, inputs, d_outputs)

        return outputs, gradient

    return call(*trainable, inputs), new_state


def _rematerialize_jax(layer, training, trainable, state, inputs):
    import jax

    def call(trainable, state, inputs):
        return layer.block.stateless_call(trainable, state, inputs, training=training)

    return jax.checkpoint(call)(trainable, state, inputs)


def _rematerialize_torch(layer, training, trainable, state, inputs):
    from torch.utils.checkpoint import checkpoint

    def call(inputs):
        return layer.block.stateless_call(trainable, state, inputs, training=training)

    return checkpoint(call, inputs, use_reentrant=False)


REMATERIALIZE: dict[str, Callable] = {
    "tensorflow": _rematerialize_tensorflow,
    "jax": _rematerialize_jax,
    "torch": _rematerialize_torch,
}
