"""The formats of image files, and those that Pillow decodes on every road."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import PIL.Image

JPEG_START = b"\xff\xd8\xff"
PNG_START = b"\x89PNG\r\n\x1a\n"
PILLOW_FORMATS = ("WEBP", "BMP", "GIF")
"""What Pillow decodes. TensorFlow takes the palette of a BMP for grays, and refuses many a WebP."""
RATIOS = (2, 4, 8)
"""The factors by which a JPEG can be decoded smaller, at less cost."""


def decode_with_pillow(encoded: bytes) -> np.ndarray:
    """uint8 [height, width, 3] of the bytes of a WebP, BMP or GIF file.

    Raises:
        ValueError: if it is none, or damaged.
    """
    with opened(encoded, PILLOW_FORMATS) as image:
        return np.asarray(image.convert("RGB"))


@contextlib.contextmanager
def opened(encoded: bytes, formats: tuple[str, ...]) -> Iterator[PIL.Image.Image]:
    """An image file as Pillow opens it.

    Raises:
        ValueError: if it is of none of the formats, or damaged, which may only show in the block.
    """
    # Imported late: Pillow is an extra, and not every file needs it.
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(encoded), formats=formats) as image:
            yield image
    except PIL.UnidentifiedImageError as error:
        raise ValueError(f"Pillow finds no {' or '.join(formats)} in the image") from error
    except Exception as error:  # of whatever kind: each format has its own
        raise ValueError(f"Pillow cannot decode the image: {error}") from error
