"""The formats of picture files: how they begin, and what Pillow decodes of them, whatever the framework."""

from __future__ import annotations

import io

import numpy as np

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
    # Imported late: Pillow is an extra, and only these files need it.
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded), formats=PILLOW_FORMATS) as image:
            return np.asarray(image.convert("RGB"))
    except Exception as error:  # of whatever kind: each format has its own
        raise ValueError(f"Pillow cannot decode the image: {error}") from error


def decode_png(encoded: bytes) -> np.ndarray:
    """uint8 [height, width, 3] of the bytes of a PNG file.

    Raises:
        ValueError: if it is none, or damaged.
        ModuleNotFoundError: if Pillow is not installed.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded), formats=("PNG",)) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"Pillow cannot decode the image: {error}") from error
