"""Preprocessing of images by the convention that a network's weights were trained with."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from keras_resnet.facts.preprocessing import PREPROCESSING


def preprocess_input(images, convention, data_format: str = "channels_last"):
    """Normalizes images by a convention.

    Args:
        images: [..., height, width, 3] of 0 to 255, red first; or [..., 3, height, width]. Any number type. In a graph
            of TensorFlow, such as that of `tf.data`, the channels may be known only when it runs.
        convention: A key of `PREPROCESSING`, or a network whose weights have one.
        data_format: Where the channels are; a network's own counts.

    Returns:
        float32, of the same shape; blue first where the convention has it so.

    Raises:
        ValueError: if there is no such convention, if the network knows none, or if there are not three channels.
    """
    name, data_format = _named(convention), getattr(convention, "data_format", data_format)
    rule = PREPROCESSING[name]
    last = data_format == "channels_last"
    images = ops.cast(images, "float32")
    axis = -1 if last else -3
    if len(getattr(images.shape, "dims", images.shape) or ()) < 3:
        raise ValueError(
            f"`images` must have at least three axes, height, width and channels. Received: shape {images.shape}. "
            "`tf.io.decode_image` leaves their number open: call it with expand_animations=False"
        )
    channels = images.shape[axis]
    if channels is None:
        images = _with_three_channels(images, axis)
    elif channels != 3:
        raise ValueError(
            f"`images` must have three channels on axis {axis}: red, green, blue. Received: shape {images.shape}"
        )
    shape = (3,) if last else (3, 1, 1)
    mean, deviation = (ops.reshape(ops.array(values, "float32"), shape) for values in (rule.mean, rule.deviation))
    images = (images - mean) / deviation
    return ops.flip(images, axis) if rule.reverses else images


def _with_three_channels(images, axis: int):
    """Images whose channels are counted when the graph runs: broadcasting would take a single one for three."""
    if keras.backend.is_keras_tensor(images):
        return images
    import tensorflow as tf

    shape = images.shape.as_list()
    shape[axis] = 3
    return tf.ensure_shape(images, shape)


def _named(convention) -> str:
    """The key that is meant."""
    name = convention if isinstance(convention, str) else getattr(convention, "preprocessing", None)
    if name in PREPROCESSING:
        return name
    if isinstance(convention, str):
        raise ValueError(f"`convention` must be one of {', '.join(PREPROCESSING)}. Received: convention={name!r}")
    raise ValueError(
        f"`convention` must be one of {', '.join(PREPROCESSING)}, or a network whose weights have one. "
        f"{getattr(convention, 'name', convention)!r} has none: it was not given weights, normalizes images itself, or "
        "its weights want images normalized in another way"
    )


def decode_predictions(scores, class_names=None, top: int = 5) -> list[list[tuple[int, str, float]]]:
    """The classes of the largest scores.

    Args:
        scores: [batch, classes].
        class_names: One for each class; a network whose weights have them; `"imagenet"` for the names that
            Keras downloads; or None for numbers.
        top: At most how many; at least 1.

    Returns:
        For each image: (class, name, score), the largest score first.

    Raises:
        ValueError: if the shapes do not fit.
        ConnectionError: if the names cannot be downloaded.
    """
    scores = ops.convert_to_numpy(scores)
    names = imagenet_names() if class_names == "imagenet" else getattr(class_names, "class_names", class_names)
    if scores.ndim != 2 or top < 1:
        raise ValueError(
            f"`scores` must have the shape [batch, classes], and `top` be at least 1. "
            f"Received: scores of shape {list(scores.shape)}, top={top}"
        )
    if names is not None and len(names) != scores.shape[1]:
        raise ValueError(f"`class_names` must have {scores.shape[1]} names, one for each class. Received: {len(names)}")
    names = [str(number) for number in range(scores.shape[1])] if names is None else names
    best = (-scores).argsort(axis=1, kind="stable")[:, :top]
    return [
        [(int(number), names[number], float(image[number])) for number in order]
        for image, order in zip(scores, best, strict=True)
    ]


def imagenet_names() -> list[str]:
    """The names of the 1,000 classes of ImageNet, which Keras downloads and keeps.

    Raises:
        ConnectionError: if they cannot be had.
    """
    from keras.applications import imagenet_utils

    try:
        [decoded] = imagenet_utils.decode_predictions(np.arange(1000.0, 0.0, -1.0)[None], top=1000)
    except Exception as error:  # Keras raises a bare `Exception` when a download fails
        raise ConnectionError(
            f"The names of ImageNet's classes cannot be downloaded ({error}). Name the classes yourself"
        ) from error
    return [name for _, name, _ in decoded]
