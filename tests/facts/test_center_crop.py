from __future__ import annotations

from keras_resnet.facts import center_crop


def test_the_center_crop_in_words():
    assert center_crop.in_words(224) == "center 224x224 of shorter side 256, bilinear with antialiasing"
