"""Images of any size, as files or as pixels, of which only the window that is wanted is decoded.

A JPEG has the pixels that Pillow, OpenCV and libjpeg-turbo decode by default, to the bit.
"""

from __future__ import annotations

import functools

import tensorflow as tf

from keras_resnet.data.picture_files.exif import FLIPPED, TRANSPOSED
from keras_resnet.data.picture_files.formats import PNG_START, RATIOS, decode_with_pillow

DCT_METHOD = "INTEGER_ACCURATE"
"""The inverse cosine transform of all JPEGs. TensorFlow's default makes two of three values others, and 0.8 darker."""
MARGIN = 4
"""Pixels around a window of a JPEG whose colors its own depend on."""


def decode_jpeg(encoded: tf.Tensor, channels: int = 3) -> tf.Tensor:
    """uint8 [height, width, channels] of the bytes of a JPEG."""
    return tf.io.decode_jpeg(encoded, channels=channels, dct_method=DCT_METHOD)


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """uint8 [height, width, 3] of the bytes of a JPEG, PNG, WebP, BMP or GIF file, as it is stored.

    Gray becomes RGB, transparency is dropped, and of an animation the first image counts. A rotation that stands in the
    file alone (EXIF) is for `EncodedImage`.
    """
    image = tf.cond(tf.io.is_jpeg(encoded), lambda: decode_jpeg(encoded), lambda: _decode_other(encoded))
    return tf.ensure_shape(image, [None, None, 3])


def _decode_other(encoded: tf.Tensor) -> tf.Tensor:
    return tf.cond(
        tf.strings.substr(encoded, 0, len(PNG_START)) == PNG_START,
        lambda: tf.io.decode_png(encoded, channels=3),
        lambda: _decode_with_pillow(encoded),
    )


# A function of its own, as outside of one TensorFlow calls Python with other arguments, and raises other errors.
@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _decode_with_pillow(encoded: tf.Tensor) -> tf.Tensor:
    return tf.numpy_function(decode_with_pillow, [encoded], tf.uint8, stateful=False)


class EncodedImage:
    """An image as its file.

    Args:
        content: The bytes of the file, string [].
        orientation: How it is to be turned, int32 []: 1 to 8 as in EXIF. Defaults to as it is stored.
    """

    def __init__(self, content: tf.Tensor, orientation: tf.Tensor | None = None) -> None:
        self.content = content
        self.orientation = orientation
        self.is_jpeg = tf.io.is_jpeg(content)
        # Of a JPEG the shape is known without decoding it; everything else is decoded once for all that is asked.
        self._stored_shape, self._pixels = tf.cond(
            self.is_jpeg,
            lambda: (tf.io.extract_jpeg_shape(content)[:2], tf.zeros([0, 0, 3], tf.uint8)),
            functools.partial(_with_shape, content),
        )

    @property
    def shape(self) -> tf.Tensor:
        """int32 [2], height and width."""
        if self.orientation is None:
            return self._stored_shape
        return tf.cond(
            self.orientation < TRANSPOSED, lambda: self._stored_shape, lambda: tf.reverse(self._stored_shape, [0])
        )

    def whole(self) -> tf.Tensor:
        """uint8 [height, width, 3]: all pixels."""
        return self._turned(tf.cond(self.is_jpeg, lambda: decode_jpeg(self.content), lambda: self._pixels))

    def part(self, window: tf.Tensor) -> tf.Tensor:
        """uint8 [height, width, 3] of a window, to the bit that of the whole; of a JPEG, little else is decoded."""
        return self._turned(self._stored_part(self._stored_window(window)))

    def reduced_part(self, window: tf.Tensor, size: int) -> tf.Tensor:
        """Pixels of a window; of a JPEG at 1/2, 1/4 or 1/8 of the resolution where a square of `size` needs no more."""
        window = self._stored_window(window)
        finer = tf.reduce_min(window[2:]) // size >= tf.constant(RATIOS, tf.int32)
        largest_ratio = tf.where(self.is_jpeg, tf.reduce_sum(tf.cast(finer, tf.int32)), 0)
        exact = functools.partial(self._stored_part, window)
        part = tf.switch_case(
            largest_ratio,
            [exact, *(functools.partial(self._part_of_reduced_jpeg, window, ratio) for ratio in RATIOS)],
        )
        return self._turned(part)

    def _stored_window(self, window: tf.Tensor) -> tf.Tensor:
        """The window of the file that a window of the image as it is shown lies in."""
        if self.orientation is None:
            return window
        corner, extent = window[:2], window[2:]
        axes = tf.cond(self.orientation < TRANSPOSED, lambda: [0, 1], lambda: [1, 0])
        corner, extent = tf.gather(corner, axes), tf.gather(extent, axes)
        mirrored = tf.constant([[axis in axes for axis in (0, 1)] for axes in FLIPPED])[self.orientation - 1]
        return tf.concat([tf.where(mirrored, self._stored_shape - corner - extent, corner), extent], 0)

    def _turned(self, pixels: tf.Tensor) -> tf.Tensor:
        """The pixels of a window of the file, as they are shown."""
        if self.orientation is None:
            return pixels
        turns = [functools.partial(_turn, pixels, orientation) for orientation in range(1, len(FLIPPED) + 1)]
        return tf.ensure_shape(tf.switch_case(self.orientation - 1, turns), [None, None, 3])

    def _stored_part(self, window: tf.Tensor) -> tf.Tensor:
        return tf.cond(self.is_jpeg, lambda: self._exact_part_of_jpeg(window), lambda: sliced(self._pixels, window))

    def _exact_part_of_jpeg(self, window: tf.Tensor) -> tf.Tensor:
        # The colors of a JPEG are interpolated between neighbours, which must therefore be decoded, too.
        corner = tf.maximum(window[:2] - MARGIN, 0)
        end = tf.minimum(window[:2] + window[2:] + MARGIN, self._stored_shape)
        larger = self._decode(tf.concat([corner, end - corner], 0))
        return sliced(larger, tf.concat([window[:2] - corner, window[2:]], 0))

    def _part_of_reduced_jpeg(self, window: tf.Tensor, ratio: int) -> tf.Tensor:
        # A reduced image has a pixel for each `ratio` of the whole one, the last perhaps for fewer.
        corner, end = window[:2] // ratio, (window[:2] + window[2:] + ratio - 1) // ratio
        return self._decode(tf.concat([corner, end - corner], 0), ratio)

    def _decode(self, window: tf.Tensor, ratio: int = 1) -> tf.Tensor:
        return tf.raw_ops.DecodeAndCropJpeg(
            contents=self.content, crop_window=window, channels=3, ratio=ratio, dct_method=DCT_METHOD
        )


def _with_shape(content: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    pixels = tf.ensure_shape(_decode_other(content), [None, None, 3])
    return tf.shape(pixels)[:2], pixels


def _turn(pixels: tf.Tensor, orientation: int) -> tf.Tensor:
    flipped = tf.reverse(pixels, FLIPPED[orientation - 1])
    return tf.transpose(flipped, [1, 0, 2]) if orientation >= TRANSPOSED else flipped


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
