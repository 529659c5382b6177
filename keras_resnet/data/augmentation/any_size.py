"""Views of photographs: a window of one, resized to a square, and perhaps mirrored and coloured.

The window is a function of the photograph's size and of a few uniform numbers in [0, 1), so it is known before anything
is decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from keras_resnet.data.encoded_images import Photograph

RESIZE = 256 / 224
"""Shorter side of a photograph over the side of its center crop in evaluation (He et al., 2015, Section 3.4)."""
SCALES = (256 / 224, 480 / 224)
"""Smallest and largest shorter side of a photograph over the side of its crop (He et al., 2015, Section 3.4)."""
AREA = (0.08, 1.0)
"""Smallest and largest share of a photograph in its window (Szegedy et al., 2015, Section 6)."""
ASPECT_RATIO = (3 / 4, 4 / 3)
"""Narrowest and widest window, width over height (Szegedy et al., 2015, Section 6)."""

PRINCIPAL_COLOURS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
"""Red, green and blue (rows) of the principal components (columns) of ImageNet's pixels (fb.resnet.torch)."""
COLOUR_VARIANCES = (0.2175, 0.0188, 0.0045)
"""How much the pixels vary along each, for pixels of 0 to 1 (fb.resnet.torch)."""
COLOUR_NOISE = 0.1
"""Standard deviation of the noise, in those units (Krizhevsky et al., 2012, Section 4.1)."""
JITTER = 0.4
"""Largest relative change of brightness, contrast and saturation (fb.resnet.torch)."""


def evaluation_view(size: int) -> str:
    """What `center_crop` shows, in words."""
    return f"center {size}x{size} of shorter side {round(size * RESIZE)}, bilinear with antialiasing"


def center_crop(photograph: Photograph, size: int) -> tf.Tensor:
    """The square in the middle of a photograph whose shorter side is resized to 256/224 of the square's.

    Only what is seen is decoded, and resized: the result is that of decoding, resizing and cropping the whole.

    Args:
        photograph: Of any size.
        size: Side of the square, in pixels.

    Returns:
        uint8 [size, size, 3].

    Reference:
        He et al., 2015, Section 3.4; `PIL.Image.resize`, whose bilinear filter is antialiased in the same way.
    """
    shape = tf.cast(photograph.shape, tf.float32)
    extent = tf.round(shape * (round(size * RESIZE) / tf.reduce_min(shape)))
    scale, corner = extent / shape, (extent - size) // 2
    # A pixel of the resized photograph is an average over its neighbourhood in the photograph.
    reach = 1 + tf.maximum(1 / scale, 1.0)
    top_left = tf.cast(tf.maximum(tf.floor(corner / scale - reach), 0), tf.int32)
    bottom_right = tf.cast(tf.minimum(tf.math.ceil((corner + size) / scale + reach), shape), tf.int32)
    image = tf.raw_ops.ScaleAndTranslate(
        images=photograph.part(tf.concat([top_left, bottom_right - top_left], 0))[None],
        size=[size, size],
        scale=scale,
        translation=tf.cast(top_left, tf.float32) * scale - corner,
        kernel_type="triangle",
        antialias=True,
    )[0]
    return tf.cast(tf.clip_by_value(image, 0.0, 255.0) + 0.5, tf.uint8)  # rounds: there is nothing below 0


def random_scale(shape: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """The window of a square crop from a photograph whose shorter side was resized to a random length.

    Args:
        shape: int32 [2], height and width of the photograph.
        draws: float32 [3]: length, vertical position, horizontal position.

    Returns:
        int32 [4]: top, left, height, width.

    Reference:
        He et al., 2015, Section 3.4: shorter side uniform in [256, 480] for crops of 224.
    """
    scale = SCALES[0] + (SCALES[1] - SCALES[0]) * draws[0]
    side = tf.cast(tf.round(tf.cast(tf.reduce_min(shape), tf.float32) / scale), tf.int32)
    return _placed(shape, tf.maximum([side, side], 1), draws[1:])


def random_area(shape: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """A window of random area and aspect ratio; one that would stick out is cut to the photograph.

    Args:
        shape: int32 [2], height and width of the photograph.
        draws: float32 [4]: area, aspect ratio, vertical position, horizontal position.

    Returns:
        int32 [4]: top, left, height, width.

    Reference:
        Szegedy et al., 2015, Section 6.
    """
    area = tf.cast(tf.reduce_prod(shape), tf.float32) * (AREA[0] + (AREA[1] - AREA[0]) * draws[0])
    narrowest, widest = (tf.math.log(float(ratio)) for ratio in ASPECT_RATIO)
    ratio = tf.exp(narrowest + (widest - narrowest) * draws[1])
    extent = tf.cast(tf.round(tf.sqrt(tf.stack([area / ratio, area * ratio]))), tf.int32)
    return _placed(shape, tf.clip_by_value(extent, 1, shape), draws[2:])


def _placed(shape: tf.Tensor, extent: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    corner = tf.cast(draws * tf.cast(shape - extent + 1, tf.float32), tf.int32)
    return tf.concat([corner, extent], 0)


def squared(image: tf.Tensor, size: int) -> tf.Tensor:
    """A window as a square.

    Args:
        image: uint8 [height, width, 3].
        size: Side of the square, in pixels.

    Returns:
        float32 [size, size, 3], 0 to 255.

    Differs from the paper:
        A photograph is not resized before it is cropped: a crop is cut out in whole pixels, and resized.
    """
    # Both take a third of the time of an antialiased `tf.image.resize`, which a window that shrinks would need.
    shrinks = tf.reduce_all(tf.shape(image)[:2] >= size)
    image = tf.cond(
        shrinks,
        lambda: tf.image.resize(image, [size, size], method="area"),
        lambda: tf.image.resize(image, [size, size], method="bilinear"),
    )
    return tf.ensure_shape(image, [size, size, 3])


def colour_noise(image: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Adds one random colour to all pixels, along the principal components of ImageNet's.

    Args:
        image: float32 [height, width, 3], 0 to 255.
        draws: float32 [3].

    Reference:
        Krizhevsky et al., 2012, Section 4.1.
    """
    # A draw is a multiple of 2**-23: the middle of its interval has a finite quantile.
    alphas = COLOUR_NOISE * tf.math.ndtri(tf.clip_by_value(draws + 2.0**-24, 2.0**-24, 1 - 2.0**-24))
    colour = 255.0 * tf.linalg.matvec(PRINCIPAL_COLOURS, alphas * COLOUR_VARIANCES)
    # Added to whole rows: to add three numbers to each pixel takes several times as long, a tenth of the whole view.
    shape = tf.shape(image)
    rows = tf.reshape(image, [shape[0], shape[1] * 3]) + tf.tile(colour, [shape[1]])
    return tf.reshape(rows, shape)


def colour_jitter(image: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Changes brightness, contrast and saturation, in this order, each by a random factor in 1 ± `JITTER`.

    Args:
        image: float32 [height, width, 3], 0 to 255.
        draws: float32 [3].

    Reference:
        fb.resnet.torch, `datasets/transforms.lua`, which changes the order at random.
    """
    brightness, contrast, saturation = tf.unstack(1.0 - JITTER + 2.0 * JITTER * draws)
    image = _clipped(image * brightness)
    mean = tf.reduce_mean(tf.image.rgb_to_grayscale(image))
    image = _clipped(mean + (image - mean) * contrast)
    grey = tf.image.rgb_to_grayscale(image)
    return grey + (image - grey) * saturation


def _clipped(image: tf.Tensor) -> tf.Tensor:
    # One pass over the image, where `tf.clip_by_value` makes two.
    return tf.raw_ops.ClipByValue(t=image, clip_value_min=0.0, clip_value_max=255.0)


@dataclass(frozen=True)
class View:
    """A row of the table below."""

    window: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None
    """From shape and draws to a window; None: the center crop of evaluation."""
    places: int
    """Draws that the window takes."""
    mirrors: bool = False
    colours: tuple[Callable[[tf.Tensor, tf.Tensor], tf.Tensor], ...] = ()
    """Each takes three draws."""

    @property
    def draws(self) -> int:
        """Uniform numbers for each image."""
        return self.places + self.mirrors + 3 * len(self.colours)

    def part(self, photograph: Photograph, draws: tf.Tensor, size: int) -> tf.Tensor:
        """uint8 [height, width, 3]: what is seen of a photograph, before it becomes a square."""
        return photograph.coarse_part(self.window(photograph.shape, draws[: self.places]), size)

    def apply(self, photograph: Photograph, draws: tf.Tensor, size: int) -> tf.Tensor:
        """The view of a photograph.

        Args:
            photograph: Of any size.
            draws: float32 [draws].
            size: Side of the square, in pixels.

        Returns:
            uint8 [size, size, 3].
        """
        if self.window is None:
            return center_crop(photograph, size)
        image = squared(self.part(photograph, draws, size), size)
        for number, colour in enumerate(self.colours):
            first = self.places + self.mirrors + 3 * number
            image = _clipped(colour(image, draws[first : first + 3]))
        image = tf.cast(image + 0.5, tf.uint8)  # rounds: there is nothing below 0
        if not self.mirrors:
            return image
        return tf.cond(draws[self.places] < 0.5, lambda: tf.reverse(image, [1]), lambda: image)


VIEWS: dict[str, View] = {
    "none": View(None, 0),
    "crop": View(random_area, 4),
    "crop-flip": View(random_area, 4, mirrors=True),
    "crop-flip-colour": View(random_area, 4, mirrors=True, colours=(colour_jitter, colour_noise)),
    "scale-flip": View(random_scale, 3, mirrors=True),
    "scale-flip-colour": View(random_scale, 3, mirrors=True, colours=(colour_noise,)),
}
"""The augmentations of photographs: the paper's is `scale-flip-colour`, the later standard `crop-flip`."""
