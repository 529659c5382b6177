"""The layers that Keras does not have."""

from keras_resnet.models.layers.batch_normalization import BatchNormalization
from keras_resnet.models.layers.rematerialized import Rematerialized
from keras_resnet.models.layers.shortcuts import SHORTCUTS, IdentityShortcut, ProjectionShortcut
from keras_resnet.models.layers.space_to_depth import Conv2D as SpaceToDepthConv2D

__all__ = [
    "SHORTCUTS",
    "BatchNormalization",
    "IdentityShortcut",
    "ProjectionShortcut",
    "Rematerialized",
    "SpaceToDepthConv2D",
]
