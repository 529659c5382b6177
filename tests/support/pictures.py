"""Pictures that survive a JPEG, and how much two of them differ."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def smooth(height: int, width: int, seed: int = 0) -> np.ndarray:
    """An image without edges, as noise does not survive a JPEG."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (4, 4, 3)).astype("float32")
    image = tf.image.resize(coarse, [height, width], method="bicubic")
    return np.clip(np.round(image), 0, 255).astype("uint8")


def jpeg(image: np.ndarray) -> tf.Tensor:
    return tf.io.encode_jpeg(image, quality=95)


def difference(first, second) -> float:
    """Mean, in gray levels."""
    return float(np.abs(np.asarray(first, "float32") - np.asarray(second, "float32")).mean())
