"""The operations of `fixed_size` for the JAX backend, where they are part of the compiled iteration.

They are the same functions of the same pixels and random numbers, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from keras_resnet.facts.augmentation import with_columns

if TYPE_CHECKING:
    import jax


def pad_crop(images: jax.Array, draws: jax.Array, padding: int) -> jax.Array:
    """Pads with zeros and crops back to the size, at a random position; see `fixed_size.pad_crop`.

    A choice among the shifts of all images reads memory in order; a gather of pixels would take a TPU 30 times as long.
    """
    import jax.numpy as jnp

    _, height, width, _ = images.shape
    shifts = 2 * padding + 1
    start = (draws * jnp.float32(shifts)).astype(jnp.int32)[:, :, None, None, None]
    padded = jnp.pad(images, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
    rows = padded[:, :height]
    for shift in range(1, shifts):
        rows = jnp.where(start[:, 0] == shift, padded[:, shift : shift + height], rows)
    columns = rows[:, :, :width]
    for shift in range(1, shifts):
        columns = jnp.where(start[:, 1] == shift, rows[:, :, shift : shift + width], columns)
    return columns


def flip(images: jax.Array, draws: jax.Array) -> jax.Array:
    """Mirrors left to right where the draw, [batch], is below one half."""
    import jax.numpy as jnp

    return jnp.where(draws[:, None, None, None] < 0.5, images[:, :, ::-1], images)


OPERATIONS: dict[str, Callable[[jax.Array, jax.Array, int], jax.Array]] = {
    "pad-crop": pad_crop,
    "flip": lambda images, draws, _padding: flip(images, draws[:, 0]),
}
"""The rows of `fixed_size.OPERATIONS`."""


def augment(images: jax.Array, draws: jax.Array, augmentation: Sequence[str], padding: int) -> jax.Array:
    """Images after the operations of an augmentation; see `fixed_size.augment`."""
    for name, columns in with_columns(augmentation):
        images = OPERATIONS[name](images, draws[:, columns], padding)
    return images
