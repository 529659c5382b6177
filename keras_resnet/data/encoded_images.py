"""Images of any size, as JPEG or PNG files or as pixels, of which only the window that is wanted is decoded."""

from __future__ import annotations

import functools

import tensorflow as tf

RATIOS = (2, 4, 8)
"""The factors by which a JPEG can be decoded smaller, at less cost."""
MARGIN = 4
"""Pixels around a window of a JPEG whose colors its own depend on."""


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """uint8 [height, width, 3] of the bytes of a JPEG or PNG file.

    Gray becomes RGB, transparency is dropped, and a rotation that stands in the file alone (EXIF) is ignored.
    """
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    return tf.ensure_shape(image, [None, None, 3])


class EncodedImage:
    """An image as a JPEG or PNG file.

    Args:
        content: The bytes of the file, string [].
    """

    def __init__(self, content: tf.Tensor) -> None:
        self.content = content
        self.is_jpeg = tf.io.is_jpeg(content)

    @property
    def shape(self) -> tf.Tensor:
        """int32 [2], height and width; of a JPEG without decoding it."""
        return tf.cond(
            self.is_jpeg,
            lambda: tf.io.extract_jpeg_shape(self.content)[:2],
            lambda: tf.shape(decode(self.content))[:2],
        )

    def part(self, window: tf.Tensor) -> tf.Tensor:
        """uint8 [height, width, 3] of a window, to the bit that of the whole; of a JPEG, little else is decoded."""
        return tf.cond(
            self.is_jpeg,
            lambda: self._exact_part_of_jpeg(window),
            lambda: sliced(decode(self.content), window),
        )

    def reduced_part(self, window: tf.Tensor, size: int) -> tf.Tensor:
        """Pixels of a window; of a JPEG at 1/2, 1/4 or 1/8 of the resolution where a square of `size` needs no more."""
        finer = tf.reduce_min(window[2:]) // size >= tf.constant(RATIOS, tf.int32)
        largest_ratio = tf.where(self.is_jpeg, tf.reduce_sum(tf.cast(finer, tf.int32)), 0)
        exact = functools.partial(self.part, window)
        return tf.switch_case(
            largest_ratio,
            [exact, *(functools.partial(self._part_of_reduced_jpeg, window, ratio) for ratio in RATIOS)],
        )

    def _exact_part_of_jpeg(self, window: tf.Tensor) -> tf.Tensor:
        # The colors of a JPEG are interpolated between neighbours, which must therefore be decoded, too.
        corner = tf.maximum(window[:2] - MARGIN, 0)
        end = tf.minimum(window[:2] + window[2:] + MARGIN, tf.io.extract_jpeg_shape(self.content)[:2])
        larger = self._decode(tf.concat([corner, end - corner], 0))
        return sliced(larger, tf.concat([window[:2] - corner, window[2:]], 0))

    def _part_of_reduced_jpeg(self, window: tf.Tensor, ratio: int) -> tf.Tensor:
        # A reduced image has a pixel for each `ratio` of the whole one, the last perhaps for fewer.
        corner, end = window[:2] // ratio, (window[:2] + window[2:] + ratio - 1) // ratio
        return self._decode(tf.concat([corner, end - corner], 0), ratio)

    def _decode(self, window: tf.Tensor, ratio: int = 1) -> tf.Tensor:
        return tf.raw_ops.DecodeAndCropJpeg(contents=self.content, crop_window=window, channels=3, ratio=ratio)


class DecodedImage:
    """An image as its pixels, with the windows of its file.

    Args:
        pixels: uint8 [height, width, 3], with `has_full_resolution`.
    """

    def __init__(self, pixels: tf.Tensor) -> None:
        self.pixels = pixels

    @property
    def shape(self) -> tf.Tensor:
        """int32 [2], height and width."""
        return tf.shape(self.pixels)[:2]

    def part(self, window: tf.Tensor) -> tf.Tensor:
        """uint8 [height, width, 3] of a window."""
        return sliced(self.pixels, window)

    def reduced_part(self, window: tf.Tensor, size: int) -> tf.Tensor:
        """uint8 [height, width, 3] of a window."""
        return self.part(window)


Image = EncodedImage | DecodedImage
"""An image of any size: its `shape`, and the pixels of its windows."""


def has_full_resolution(shape: tf.Tensor, size: int) -> tf.Tensor:
    """Whether no window is decoded at a reduced resolution, so that `DecodedImage` has the pixels of `EncodedImage`."""
    return tf.reduce_min(shape) < RATIOS[0] * size


def sliced(image: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    """The pixels of a window."""
    top, left, height, width = tf.unstack(window)
    return image[top : top + height, left : left + width]
