"""Networks whose kernels are zeros: drawing millions of random numbers takes most of the time of building them."""

from __future__ import annotations

import keras


def cheap_kernels(monkeypatch) -> None:
    """A fixture for tests of names, shapes and files, whatever the weights."""
    monkeypatch.setattr(
        keras.initializers.VarianceScaling, "__call__", lambda _, shape, dtype=None, **__: keras.ops.zeros(shape, dtype)
    )
