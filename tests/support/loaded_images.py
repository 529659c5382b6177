"""What this process makes of images on disk, in short: to be compared with what another one makes of them."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.data import identity, order, statistics
from keras_resnet.data.datasets import loading
from keras_resnet.data.encoded_splits import EncodedSplit

DATASETS = ("digits", "cifar10", "folder", "imagenet")


def summary(place: Path) -> dict[str, Any]:
    """Each data set in a folder of its name, and the order of a training."""
    return {name: of_data(loading.load(name, place / name)) for name in DATASETS} | {"order": of_order()}


def of_data(data: loading.Data) -> dict[str, Any]:
    found: dict[str, Any] = {"identity": identity.of(data)}
    for name, split in data.splits.items():
        found[name] = [split.size, split.view, split.damaged(), digest(split.labels.tobytes())]
        if isinstance(split, EncodedSplit):
            again = pickle.loads(pickle.dumps(split))
            found[name] += [[digest(again.read(index)), again.orientation(index)] for index in range(split.size)]
            found[name] += [split.encoded_bytes(), split.pixels_bytes()]
        else:
            parts = [split.images, *statistics.mean_and_deviation(split, "per-channel")]
            found[name] += [digest(part.tobytes()) for part in parts]
    return found


def of_order() -> list[str]:
    parts = [
        *order.batch(1000, 7, seed=3, batch_size=64, iteration=10**6),
        order.permutation(1000, seed=-1, epoch=5),
        order.uniform_draws(100, 3, seed=2, epoch=1),
    ]
    return [digest(np.ascontiguousarray(part).tobytes()) for part in parts]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
