"""The two roads of images to a backend: `data.tensorflow` by tf.data, `data.grain` by NumPy and worker processes."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from types import ModuleType
from typing import TypeVar

from keras_resnet.data.encoded_splits import DamagedImageError

Batches = TypeVar("Batches", bound=Iterable)

ROADS = {
    "tensorflow": "keras_resnet.data.tensorflow",
    "jax": "keras_resnet.data.grain",
    "torch": "keras_resnet.data.grain",
}
"""The folder that makes batches for a backend of Keras. Modules of one name have the same functions in both, which give
the same images; `batches` may have `DAMAGE`, further errors by which they say that an image is damaged."""


def current(module: str = "batches") -> ModuleType:
    """A module of the road of Keras's backend.

    Args:
        module: Its name, such as `"crop_batches"`.

    Raises:
        ValueError: if there is none.
    """
    import keras

    name = keras.backend.backend()
    if name not in ROADS:
        raise ValueError(f"The backend of Keras must be one of {', '.join(ROADS)} to read images. It is {name}")
    return importlib.import_module(f"{ROADS[name]}.{module}")


def closing(batches: Batches) -> AbstractContextManager[Batches]:
    """The batches of a road for a `with` statement, at whose end nothing goes on making them."""
    return contextlib.closing(batches) if hasattr(batches, "close") else contextlib.nullcontext(batches)


def damage() -> tuple[type[Exception], ...]:
    """The errors that tell of a damaged or missing image, on the current road or of a split itself."""
    return (DamagedImageError, FileNotFoundError, *getattr(current(), "DAMAGE", ()))
