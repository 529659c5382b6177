"""Images of any size, as files or as pixels, in NumPy.

Whole images and their windows have the pixels of `data.tensorflow.encoded_images`, to the bit, in every format. So have
windows that are decoded at a reduced resolution, but for JPEGs whose colors are halved across alone (4:2:2): TensorFlow
decodes the first and last column of such a window without their neighbors, and they differ by up to 40 gray levels in
noise.
"""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg

from keras_resnet.data.picture_files.exif import FLIPPED, TRANSPOSED, UPRIGHT
from keras_resnet.data.picture_files.formats import JPEG_START, PNG_START, RATIOS, critical_chunks, decode_with_pillow

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

FOUR_COLORS = ("CMYK", "YCCK")
"""Of a JPEG for print: cyan, magenta, yellow, black, or these as brightness, two differences of colors, and black."""

Window = tuple[int, int, int, int]
"""Top, left, height and width of a part of an image, in pixels."""


def decode(encoded: bytes) -> np.ndarray:
    """uint8 [height, width, 3] of the bytes of a JPEG, PNG, WebP, BMP or GIF file, as it is stored.

    Gray becomes RGB, transparency is dropped, and of an animation the first image counts. A rotation that stands in the
    file alone (EXIF) is for `EncodedImage`.

    Raises:
        ValueError: if it is none of these, or damaged.
    """
    if encoded.startswith(JPEG_START):
        return decode_jpeg(encoded)
    return decode_png(encoded) if encoded.startswith(PNG_START) else decode_with_pillow(encoded)


def decode_jpeg(encoded: bytes, ratio: int = 1) -> np.ndarray:
    """uint8 [height, width, 3] of the bytes of a JPEG.

    Args:
        encoded: The file.
        ratio: 1, or one of `RATIOS`: by how much the image is decoded smaller, its sides rounded up.

    Raises:
        ValueError: if it is damaged.
    """
    # Whatever is not a plain JPEG without a flaw is left to Pillow, which takes longer: images of four colors,
    # and those of which libjpeg warns without giving up, such as bytes between two segments.
    with contextlib.suppress(ValueError):
        height, width, colors, _ = simplejpeg.decode_jpeg_header(encoded)
        if colors not in FOUR_COLORS:
            # The least size is what chooses the ratio: a least ratio alone is ignored.
            return simplejpeg.decode_jpeg(encoded, min_height=-(-height // ratio), min_width=-(-width // ratio))
    from PIL.JpegImagePlugin import JpegImageFile

    with opened(JpegImageFile, encoded) as image:
        if ratio > 1:
            image.draft(None, (image.width // ratio, image.height // ratio))
        return _without_black(image) if image.mode == "CMYK" else np.asarray(image.convert("RGB"))


def _without_black(image: ImageFile) -> np.ndarray:
    """uint8 [height, width, 3] of a JPEG of cyan, magenta, yellow and black, as TensorFlow converts it."""
    inks = np.asarray(image, np.uint16)  # 255 minus what is stored
    light = 255 - inks if "adobe" in image.info else inks  # Adobe stores how much light remains
    return (light[:, :, :3] * light[:, :, 3:] // 255).astype(np.uint8)


def decode_png(encoded: bytes) -> np.ndarray:
    """uint8 [height, width, 3] of the bytes of a PNG; of 16 bits the upper 8.

    Raises:
        ValueError: if it is damaged.
    """
    from PIL.PngImagePlugin import PngImageFile

    # Without its notes, among them those of animation and transparency: libpng forgives their damage, Pillow does not.
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
        for kind, data in critical_chunks(encoded)
    ]
    with opened(PngImageFile, PNG_START + b"".join(chunks)) as image:
        if image.mode.startswith("I"):
            return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
        return np.asarray(image.convert("RGB"))


@contextlib.contextmanager
def opened(kind: Callable[[io.BytesIO], ImageFile], encoded: bytes) -> Iterator[ImageFile]:
    """An image file of a kind of Pillow's, of however many pixels.

    Raises:
        ValueError: if it is none of that kind, or damaged, which may only show in the block.
    """
    try:
        with kind(io.BytesIO(encoded)) as image:
            yield image
    except Exception as error:  # of whatever kind: each format has its own
        raise ValueError(f"Pillow cannot decode the image: {error}") from error


def jpeg_shape(encoded: bytes) -> tuple[int, int]:
    """Height and width of a JPEG as it is stored, by its header alone.

    Raises:
        ValueError: if it has none.
    """
    with contextlib.suppress(ValueError):
        return simplejpeg.decode_jpeg_header(encoded)[:2]
    return decode_jpeg(encoded).shape[:2]


class EncodedImage:
    """An image as its file.

    Args:
        content: The bytes of the file.
        orientation: How it is to be turned: 1 to 8 as in EXIF. Defaults to as it is stored.
    """

    def __init__(self, content: bytes, orientation: int = UPRIGHT) -> None:
        self.content = content
        self.orientation = orientation
        self.is_jpeg = content.startswith(JPEG_START)

    @cached_property
    def _pixels(self) -> np.ndarray:
        """uint8 [height, width, 3] as they are stored, decoded once for all that is asked."""
        return decode(self.content)

    @cached_property
    def _stored_shape(self) -> tuple[int, int]:
        return jpeg_shape(self.content) if self.is_jpeg else self._pixels.shape[:2]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self._stored_shape
        return (height, width) if self.orientation < TRANSPOSED else (width, height)

    def whole(self) -> np.ndarray:
        """uint8 [height, width, 3]: all pixels."""
        return self._turned(self._pixels)

    def part(self, window: Window) -> np.ndarray:
        """uint8 [height, width, 3] of a window, to the bit that of the whole."""
        return self._turned(sliced(self._pixels, self._stored_window(window)))

    def reduced_part(self, window: Window, size: int) -> np.ndarray:
        """Pixels of a window; of a JPEG at 1/2, 1/4 or 1/8 of the resolution where a square of `size` needs no more."""
        top, left, height, width = stored = self._stored_window(window)
        ratio = max((ratio for ratio in RATIOS if min(height, width) // size >= ratio), default=1)
        if not self.is_jpeg or ratio == 1:
            return self._turned(sliced(self._pixels, stored))
        # A reduced image has a pixel for each `ratio` of the whole one, the last perhaps for fewer.
        first, end = (top // ratio, left // ratio), (-(-(top + height) // ratio), -(-(left + width) // ratio))
        reduced = decode_jpeg(self.content, ratio)
        return self._turned(reduced[first[0] : end[0], first[1] : end[1]])

    def _stored_window(self, window: Window) -> Window:
        """The window of the file that a window of the image as it is shown lies in."""
        top, left, height, width = window
        if self.orientation >= TRANSPOSED:
            top, left, height, width = left, top, width, height
        mirrored, shape = FLIPPED[self.orientation - 1], self._stored_shape
        top = shape[0] - top - height if 0 in mirrored else top
        left = shape[1] - left - width if 1 in mirrored else left
        return top, left, height, width

    def _turned(self, pixels: np.ndarray) -> np.ndarray:
        """The pixels of a window of the file, as they are shown."""
        flipped = np.flip(pixels, tuple(FLIPPED[self.orientation - 1]))
        return flipped.transpose(1, 0, 2) if self.orientation >= TRANSPOSED else flipped


class DecodedImage:
    """An image as its pixels, with the windows of its file.

    Args:
        pixels: uint8 [height, width, 3], with `has_full_resolution`.
    """

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[:2]

    def whole(self) -> np.ndarray:
        """uint8 [height, width, 3]: all pixels."""
        return self.pixels

    def part(self, window: Window) -> np.ndarray:
        """uint8 [height, width, 3] of a window."""
        return sliced(self.pixels, window)

    def reduced_part(self, window: Window, size: int) -> np.ndarray:
        """uint8 [height, width, 3] of a window."""
        return self.part(window)


Image = EncodedImage | DecodedImage
"""An image of any size: its `shape`, and the pixels of its windows."""


def has_full_resolution(shape: tuple[int, int], size: int) -> bool:
    """Whether no window is decoded at a reduced resolution, so that `DecodedImage` has the pixels of `EncodedImage`."""
    return min(shape) < RATIOS[0] * size


def sliced(image: np.ndarray, window: Window) -> np.ndarray:
    """The pixels of a window."""
    top, left, height, width = window
    return image[top : top + height, left : left + width]
