"""Small networks as a training leaves them, saved in a file: from images to logits."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from keras_resnet import CifarResNet
from keras_resnet.models import input_normalization


def save(path: Path, *, size: int | None = 8, channels: int = 3, names: tuple[str, ...] | None):
    """Writes a network with random weights, of the names' classes or of three; returns it."""
    image = keras.Input((size, size, channels), dtype="uint8", name="image")
    mean, deviation = (np.full((1, 1, channels), value, "float32") for value in (120.0, 60.0))
    normalized = input_normalization.layer(mean, deviation)(image)
    network = CifarResNet(8, input_tensor=normalized, classes=len(names or "abc"), classifier_activation=None)
    network.class_names = names
    network.save(path)
    return network
