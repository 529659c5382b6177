"""The height and width of a picture, read from the beginning of its file."""

from __future__ import annotations

import io
import struct

from keras_resnet.data.picture_files.formats import JPEG_START, PILLOW_FORMATS, PNG_START

FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The markers of a JPEG's frame, whatever it is compressed with."""
ALONE = frozenset({0x01, *range(0xD0, 0xDA)})
"""Markers without a length."""


class UnknownShapeError(ValueError):
    """A file does not say how high and wide its picture is."""


def shape(content: bytes) -> tuple[int, int]:
    """Height and width in pixels, as the picture is stored.

    Raises:
        UnknownShapeError: if the file is damaged, or of an unknown kind.
    """
    try:
        if content.startswith(JPEG_START):
            return _of_jpeg(content)
        if content.startswith(PNG_START):
            width, height = struct.unpack_from(">II", content, 16)
            return height, width
        return _by_pillow(content)
    except (struct.error, IndexError, ValueError) as error:
        raise UnknownShapeError("the file is damaged, or none of a picture") from error


def _of_jpeg(content: bytes) -> tuple[int, int]:
    place = 2
    while content[place] == 0xFF:
        marker = content[place + 1]
        if marker in FRAMES:
            height, width = struct.unpack_from(">HH", content, place + 5)
            return height, width
        # A marker may be filled up with bytes of ones before it.
        place += 1 if marker == 0xFF else 2 if marker in ALONE else 2 + struct.unpack_from(">H", content, place + 2)[0]
    raise ValueError("no marker where one must be")


def _by_pillow(content: bytes) -> tuple[int, int]:
    # Imported late: Pillow is an extra, and only these files need it.
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=PILLOW_FORMATS) as image:
            return image.height, image.width
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(str(error)) from error
