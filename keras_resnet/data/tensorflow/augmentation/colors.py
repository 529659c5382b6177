"""Random changes of an image's colors."""

from __future__ import annotations

import tensorflow as tf

from keras_resnet.facts.augmentation import COLOR_NOISE, COLOR_VARIANCES, JITTER, PRINCIPAL_COLORS


def color_noise(image: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Adds one random color to all pixels, along the principal components of ImageNet's.

    Args:
        image: float32 [height, width, 3], 0 to 255.
        draws: float32 [3], uniform in [0, 1).

    Returns:
        float32 [height, width, 3], 0 to 255.

    Reference:
        Krizhevsky et al., 2012, Section 4.1.
    """
    # A draw is a multiple of 2**-23: the middle of its interval has a finite quantile.
    alphas = COLOR_NOISE * tf.math.ndtri(tf.clip_by_value(draws + 2.0**-24, 2.0**-24, 1 - 2.0**-24))
    color = 255.0 * tf.linalg.matvec(PRINCIPAL_COLORS, alphas * COLOR_VARIANCES)
    # Added to whole rows: adding three numbers to each pixel takes several times as long, a tenth of all augmentation.
    shape = tf.shape(image)
    rows = tf.reshape(image, [shape[0], shape[1] * 3]) + tf.tile(color, [shape[1]])
    return _clipped(tf.reshape(rows, shape))


def color_jitter(image: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Changes brightness, contrast and saturation, in this order, each by a random factor in 1 ± `JITTER`.

    Args:
        image: float32 [height, width, 3], 0 to 255.
        draws: float32 [3], uniform in [0, 1).

    Returns:
        float32 [height, width, 3], 0 to 255.

    Reference:
        fb.resnet.torch, `datasets/transforms.lua`, which changes the order at random.
    """
    brightness, contrast, saturation = tf.unstack(1.0 - JITTER + 2.0 * JITTER * draws)
    image = _clipped(image * brightness)
    mean = tf.reduce_mean(tf.image.rgb_to_grayscale(image))
    image = _clipped(mean + (image - mean) * contrast)
    gray = tf.image.rgb_to_grayscale(image)
    return _clipped(gray + (image - gray) * saturation)


def _clipped(image: tf.Tensor) -> tf.Tensor:
    # One pass over the image, where `tf.clip_by_value` makes two.
    return tf.raw_ops.ClipByValue(t=image, clip_value_min=0.0, clip_value_max=255.0)
