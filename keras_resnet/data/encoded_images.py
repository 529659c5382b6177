"""Photographs, of which only what is seen is decoded."""

from __future__ import annotations

import functools

import tensorflow as tf

RATIOS = (2, 4, 8)
"""How many times smaller a JPEG can be decoded, at less cost."""
MARGIN = 4
"""Pixels around a window of a JPEG whose colours its own depend on."""


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """uint8 [height, width, 3] of the bytes of a JPEG or PNG file.

    Grey becomes RGB, transparency is dropped, and a rotation that a camera only noted down (EXIF) is ignored.
    """
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    return tf.ensure_shape(image, [None, None, 3])


class EncodedImage:
    """A photograph as a JPEG or PNG file.

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

    def coarse_part(self, window: tf.Tensor, size: int) -> tf.Tensor:
        """A window; of a JPEG no finer than a square of `size` pixels needs: a half, a quarter or an eighth."""
        finer = tf.reduce_min(window[2:]) // size >= tf.constant(RATIOS, tf.int32)
        coarsest_that_serves = tf.where(self.is_jpeg, tf.reduce_sum(tf.cast(finer, tf.int32)), 0)
        exact = functools.partial(self.part, window)
        return tf.switch_case(
            coarsest_that_serves,
            [exact, *(functools.partial(self._part_of_smaller_jpeg, window, ratio) for ratio in RATIOS)],
        )

    def _exact_part_of_jpeg(self, window: tf.Tensor) -> tf.Tensor:
        # The colours of a JPEG are interpolated between neighbours, which must therefore be decoded, too.
        corner = tf.maximum(window[:2] - MARGIN, 0)
        end = tf.minimum(window[:2] + window[2:] + MARGIN, tf.io.extract_jpeg_shape(self.content)[:2])
        larger = self._decode(tf.concat([corner, end - corner], 0))
        return sliced(larger, tf.concat([window[:2] - corner, window[2:]], 0))

    def _part_of_smaller_jpeg(self, window: tf.Tensor, ratio: int) -> tf.Tensor:
        # A scaled photograph has a pixel for each `ratio` of the whole one, the last perhaps for fewer.
        corner, end = window[:2] // ratio, (window[:2] + window[2:] + ratio - 1) // ratio
        return self._decode(tf.concat([corner, end - corner], 0), ratio)

    def _decode(self, window: tf.Tensor, ratio: int = 1) -> tf.Tensor:
        return tf.raw_ops.DecodeAndCropJpeg(contents=self.content, crop_window=window, channels=3, ratio=ratio)


class DecodedImage:
    """A photograph as its pixels, seen as its file would be.

    Args:
        pixels: uint8 [height, width, 3], of which one is below twice the side of any view.
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

    def coarse_part(self, window: tf.Tensor, size: int) -> tf.Tensor:
        """A window."""
        return self.part(window)


Photograph = EncodedImage | DecodedImage


def is_seen_finely(shape: tf.Tensor, size: int) -> tf.Tensor:
    """Whether no view of a photograph is decoded coarsely, so that `DecodedImage` shows what `EncodedImage` does."""
    return tf.reduce_min(shape) < RATIOS[0] * size


def sliced(image: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    """The pixels of a window."""
    top, left, height, width = tf.unstack(window)
    return image[top : top + height, left : left + width]
