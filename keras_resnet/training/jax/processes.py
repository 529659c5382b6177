"""The process of a training on JAX."""

from __future__ import annotations

from keras_resnet.training.backend import OneProcess


def connect() -> OneProcess:
    """Takes the first device of JAX, and leaves the memory of the accelerators to JAX alone."""
    import jax
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")  # TensorFlow reads the images, on the CPU
    device = jax.devices()[0]
    return OneProcess([f"{device} ({device.device_kind}), JAX {jax.__version__}"])
