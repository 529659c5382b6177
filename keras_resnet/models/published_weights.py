"""Weights that Google published with `keras.applications`, through Keras's own download."""

from __future__ import annotations

import keras

from keras_resnet.facts.architectures import Preactivation
from keras_resnet.models import weights_loading
from keras_resnet.weights.arrays import Weights

PUBLISHED = {
    (depth, preactivation): f"ResNet{depth}{'V2' if preactivation else ''}"
    for depth in (50, 101, 152)
    for preactivation in (False, "slim")
}
"""Names in `keras.applications` by depth and `preactivation`."""


def imagenet(depth: int, preactivation: Preactivation) -> Weights:
    """Weights for the 1,000 classes of ImageNet.

    Args:
        depth: 50, 101 or 152.
        preactivation: False, or `"slim"` for the networks that Keras calls V2.

    Raises:
        ValueError: if none were published for such a network.
        ConnectionError: if they cannot be downloaded.
    """
    if (depth, preactivation) not in PUBLISHED:
        raise ValueError(
            "`weights` must be None or a file, except for ResNet-50, -101 and -152 with preactivation=False or 'slim', "
            f"whose weights keras.applications has. Received: weights='imagenet', depth={depth}, {preactivation=}"
        )
    name = PUBLISHED[depth, preactivation]
    try:
        theirs = getattr(keras.applications, name)(weights="imagenet")
    except Exception as error:  # Keras raises a bare `Exception` when a download fails
        raise ConnectionError(
            f"The weights of keras.applications.{name} cannot be downloaded ({error}). Download them where there is a "
            "network, and give the file: weights='….h5'"
        ) from error
    return weights_loading.find(theirs)
