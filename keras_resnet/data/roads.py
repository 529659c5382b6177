"""The two roads of images to a backend: `data.tensorflow` by tf.data, `data.grain` by NumPy and worker processes."""

from __future__ import annotations

import importlib
from types import ModuleType

from keras_resnet.data.encoded_splits import DamagedImageError

ROADS = {
    "tensorflow": "keras_resnet.data.tensorflow.batches",
    "jax": "keras_resnet.data.grain.batches",
    "torch": "keras_resnet.data.grain.batches",
}
"""The module that makes batches for a backend of Keras. Each has `training_batches` and `evaluation_batches`, which
give the same images, and `DAMAGE`, the errors by which they say that an image is damaged."""


def current() -> ModuleType:
    """The road of Keras's backend.

    Raises:
        ValueError: if there is none.
    """
    import keras

    name = keras.backend.backend()
    if name not in ROADS:
        raise ValueError(f"The backend of Keras must be one of {', '.join(ROADS)} to read images. It is {name}")
    return importlib.import_module(ROADS[name])


def damage() -> tuple[type[Exception], ...]:
    """The errors that tell of a damaged or missing image, on the current road or of a split itself."""
    return (DamagedImageError, FileNotFoundError, *current().DAMAGE)
