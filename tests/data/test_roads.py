"""Each backend has its road."""

from __future__ import annotations

import importlib.util

import pytest

from keras_resnet.data import roads
from keras_resnet.data.encoded_splits import DamagedImageError
from keras_resnet.data.tensorflow import batches, crop_batches


def test_the_road_is_that_of_the_backend(monkeypatch):
    assert roads.current() is batches and roads.current("crop_batches") is crop_batches
    assert {DamagedImageError, FileNotFoundError, *batches.DAMAGE} == set(roads.damage())
    monkeypatch.setattr("keras.backend.backend", lambda: "openvino")
    with pytest.raises(ValueError, match="must be one of tensorflow, jax, torch .* It is openvino"):
        roads.current()


def test_every_road_is_in_a_folder_that_exists():
    for folder in roads.ROADS.values():
        assert importlib.util.find_spec(folder), folder
