"""Normalization by the statistics of a batch, or of groups in it: a module for each backend that has its own.

Each has the functions `replicas`, `serves`, `infer` and `train`. On other backends, Keras's layer computes.
"""

from types import ModuleType

from keras_resnet.models.layers.batch_statistics import jax, tensorflow

BACKENDS: dict[str, ModuleType] = {"tensorflow": tensorflow, "jax": jax}
"""Name of the backend -> module."""
