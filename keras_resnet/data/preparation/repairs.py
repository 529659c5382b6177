"""The format of an encoded image by its content, and the repair of the few odd ones of ImageNet to plain JPEGs."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_resnet.data.picture_files.formats import JPEG_START, PNG_START
from keras_resnet.data.tensorflow.encoded_images import decode_jpeg

REPAIR_QUALITY = 100
"""As tensorflow-datasets encodes the same images."""

KINDS = {b"GIF8": "GIF", b"BM": "BMP", b"RIFF": "WebP", b"II*\x00": "TIFF", b"MM\x00*": "TIFF"}
"""The first bytes of files that are neither JPEG nor PNG."""


class UnreadableError(ValueError):
    """The image cannot be used; the message says why."""


class Prepared(NamedTuple):
    """An image as training will read it.

    Attributes:
        data: A JPEG, gray or YCbCr.
        repaired: What it was if it had to be encoded again: `"PNG"` or `"CMYK"`.
        resized: Whether it was made smaller.
    """

    data: bytes
    repaired: str | None
    resized: bool


def prepare(data: bytes, shorter_side: int | None = None, quality: int = 95) -> Prepared:
    """Accepts a JPEG as it is, repairs PNG and CMYK, refuses everything else.

    Args:
        data: The file. Its name decides nothing: ImageNet's one PNG is called JPEG.
        shorter_side: Pixels of the shorter side of larger images, which are made smaller. `None` leaves all sizes.
        quality: Of the JPEGs that are made smaller, from 1 to 100.

    Raises:
        UnreadableError: if training could not read it, or would read another image than a viewer shows.
    """
    pixels, repaired = decode(data)
    if shorter_side is not None and min(pixels.shape[:2]) > shorter_side:
        return Prepared(resize(pixels, shorter_side, quality), repaired, True)
    if repaired:
        data = tf.io.encode_jpeg(pixels, "rgb", REPAIR_QUALITY).numpy()
    return Prepared(data, repaired, False)


def decode(data: bytes) -> tuple[np.ndarray, str | None]:
    """uint8 [height, width, 1 or 3], and what must be repaired, if anything.

    Raises:
        UnreadableError: if the content is not usable.
    """
    # TensorFlow decides what is readable, as it decodes in training: PIL and libjpeg disagree on cut and damaged files,
    # in both directions. It also repairs, for its CMYK (a product with black) is what tensorflow-datasets wrote, while
    # PIL subtracts black. Only resizing is PIL's, for its antialiased Lanczos filter works on uint8.
    if not data:
        raise UnreadableError("empty")
    if data.startswith(JPEG_START):
        with unreadable("damaged or truncated JPEG"):
            channels = int(tf.io.extract_jpeg_shape(data)[2])
            return decode_jpeg(data, 1 if channels == 1 else 3).numpy(), "CMYK" * (channels == 4) or None
    if data.startswith(PNG_START):
        if data[24:25] == b"\x10":  # the depth in the header
            raise UnreadableError("16-bit PNG")
        if b"acTL" in data[: data.find(b"IDAT")]:
            raise UnreadableError("animated PNG")
        with unreadable("damaged or truncated PNG"):
            return tf.io.decode_png(data, channels=3).numpy(), "PNG"
    kind = next((kind for start, kind in KINDS.items() if data.startswith(start)), None)
    raise UnreadableError("neither JPEG nor PNG" + (f", but {kind}" if kind else ""))


def find_fault(data: bytes) -> str | None:
    """The fault of a prepared image, if any."""
    try:
        _, repair = decode(data)
    except UnreadableError as error:
        return str(error)
    return f"{repair}, not repaired" if repair else None


def resize(pixels: np.ndarray, shorter_side: int, quality: int) -> bytes:
    """A JPEG whose shorter side has a number of pixels; gray stays gray.

    A note of a camera about rotation (EXIF) is dropped, as TensorFlow's decoder ignores it.
    """
    from PIL import Image

    height, width = pixels.shape[:2]
    scale = shorter_side / min(height, width)
    size = (max(shorter_side, round(width * scale)), max(shorter_side, round(height * scale)))
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    encoded = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(encoded, "JPEG", quality=quality)
    return encoded.getvalue()


@contextlib.contextmanager
def unreadable(reason: str) -> Iterator[None]:
    """Turns TensorFlow's errors in the block into an `UnreadableError`."""
    try:
        yield
    except tf.errors.OpError as error:
        raise UnreadableError(reason) from error
