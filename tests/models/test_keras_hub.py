"""KerasHub's detector and segmenter take our backbones by protocol: neither package imports the other."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import keras_resnet

pytestmark = pytest.mark.parity

BACKBONES = {
    "RetinaNetBackbone": {"min_level": 3, "max_level": 5, "use_p5": True},
    "DeepLabV3Backbone": {
        "spatial_pyramid_pooling_key": "P5",
        "low_level_feature_key": "P2",
        "upsampling_size": 8,
        "dilation_rates": [6, 12, 18],
    },
}


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_is_an_image_encoder_also_after_saving(name, tmp_path):
    keras_hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed", exc_type=ImportError)
    encoder = keras_resnet.ResNet18(include_top=False)
    model = getattr(keras_hub.models, name)(image_encoder=encoder, **BACKBONES[name])
    images = np.random.default_rng(0).random((1, 64, 64, 3), "float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    outputs = zip(keras.tree.flatten(model(images)), keras.tree.flatten(loaded(images)), strict=True)
    for before, after in outputs:
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(before), keras.ops.convert_to_numpy(after))
