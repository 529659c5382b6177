"""The protocols of the test views, and the requests that they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest

from keras_resnet.data.splits import ArraySplit
from keras_resnet.data.tensorflow import crop_batches
from keras_resnet.evaluation.test_views import SHORTER_SIDES, VIEWS
from stand_ins import EncodedInMemory


@pytest.mark.parametrize("name", ["10-crop", "multi-scale"])
def test_images_of_one_size_have_one_view(name):
    split = ArraySplit(np.zeros((2, 32, 32, 3), np.uint8), np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="`view` must be 'center' for images of one size.*whole 32x32 image, once"):
        VIEWS[name](split)


@pytest.mark.parametrize("sides", [(), (31,), (32, 31), (32, 48, 48)])
def test_sizes_that_make_no_sense_are_refused(split, sides):
    with pytest.raises(
        ValueError, match="`shorter_sides` must be different sizes of at least 32.*Received: shorter_sides="
    ):
        VIEWS["multi-scale"](split, shorter_sides=sides)


@pytest.fixture
def unread(monkeypatch) -> None:
    """Whole images of the paper's sizes take long to trace, and a protocol tells nothing of them."""
    monkeypatch.setattr(crop_batches, "multi_scale_batches", lambda split, shorter_sides, *, mirror: None)


def encoded_split(size: int) -> EncodedInMemory:
    return EncodedInMemory((b"",), np.zeros(1, np.int64), size)


@pytest.mark.usefixtures("unread")
def test_the_sizes_are_the_paper_s_or_as_much_smaller():
    assert SHORTER_SIDES == (224, 256, 384, 480, 640)
    assert VIEWS["multi-scale"](encoded_split(224)).protocol["shorter_sides"] == [224, 256, 384, 480, 640]
    assert VIEWS["multi-scale"](encoded_split(112)).protocol["shorter_sides"] == [112, 128, 192, 240, 320]


@pytest.mark.usefixtures("unread")
def test_every_view_has_a_protocol():
    protocols = {name: view(encoded_split(224)).protocol for name, view in VIEWS.items()}
    assert [protocol.keys() for protocol in protocols.values()] == [protocols["center"].keys()] * len(VIEWS)
    assert json.loads(json.dumps(protocols)) == protocols
    for name in ("center", "10-crop"):
        assert protocols[name]["shorter_sides"] == [256] and protocols[name]["crop"] == "224x224"
    assert protocols["10-crop"]["mirror"] and not protocols["center"]["mirror"]
    assert VIEWS["multi-scale"](encoded_split(224), mirror=True).protocol["mirror"]


def test_whole_images_are_neither_resized_nor_cropped():
    split = ArraySplit(np.zeros((2, 32, 32, 3), np.uint8), np.zeros(2, np.int64))
    protocol = VIEWS["center"](split).protocol
    assert protocol["positions"] == "whole image" and protocol["crop"] is protocol["shorter_sides"] is None
