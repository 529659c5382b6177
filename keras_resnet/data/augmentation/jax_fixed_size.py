"""The augmentations of `transforms` for the JAX backend, where they are part of the compiled iteration.

They are the same functions of the same pixels and numbers, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jax

Apply = Callable[["jax.Array", "jax.Array", int], "jax.Array"]


def crop(images: jax.Array, draws: jax.Array, padding: int) -> jax.Array:
    """Pads with zeros and crops back to the size, at a position that the draws choose; see `transforms.crop`."""
    return _window(images, draws, padding, mirrored=None)


def crop_flip(images: jax.Array, draws: jax.Array, padding: int) -> jax.Array:
    """`crop` by the first two draws, then mirrors left to right where the third is below one half."""
    return _window(images, draws, padding, mirrored=draws[:, 2] < 0.5)


def _window(images: jax.Array, draws: jax.Array, padding: int, mirrored: jax.Array | None) -> jax.Array:
    """One gather: the rows and the columns of each image's window.

    Args:
        images: uint8 [batch, height, width, channels].
        draws: float32 [batch, 2 or more], uniform in [0, 1).
        padding: Pixels on each side.
        mirrored: bool [batch], whose columns run backward; None: nobody's.

    Returns:
        uint8 [batch, height, width, channels].
    """
    import jax.numpy as jnp

    batch, height, width, _ = images.shape
    padded = jnp.pad(images, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
    start = (draws[:, :2] * jnp.float32(2 * padding + 1)).astype(jnp.int32)
    rows, columns = jnp.arange(height), jnp.arange(width)
    if mirrored is not None:
        columns = jnp.where(mirrored[:, None], columns[::-1], columns)
    rows, columns = start[:, :1] + rows, start[:, 1:] + columns
    return padded[jnp.arange(batch)[:, None, None], rows[:, :, None], columns[:, None, :]]


AUGMENTATIONS: dict[str, Apply] = {
    "none": lambda images, _draws, _padding: images,
    "crop": crop,
    "crop-flip": crop_flip,
}
"""The augmentations by the name that a recipe gives them; how many draws they need, `transforms.AUGMENTATIONS` says."""
