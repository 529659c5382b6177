"""scikit-learn's handwritten digits: 1,797 real images of 8x8 gray pixels that come with the package."""

from __future__ import annotations

import numpy as np

from keras_resnet.data.splits import ArraySplit
from keras_resnet.facts.datasets import DATASETS

TEST_EVERY = 5
"""scikit-learn defines no test split: here it is every fifth image, those whose index is a multiple of five."""


def load() -> tuple[ArraySplit, ArraySplit, tuple[str, ...]]:
    """Training split (1,437 images), test split (360 images; `index % 5 == 0`) and class names.

    The 17 gray levels of scikit-learn (0 to 16) are spread over 0 to 255.
    """
    # Imported late: scikit-learn is an extra, and only this data set needs it.
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images[..., None] * (255 / 16)).astype(np.uint8)
    labels = digits.target.astype(np.int64)
    test = np.arange(len(labels)) % TEST_EVERY == 0
    return (
        ArraySplit(images[~test], labels[~test]),
        ArraySplit(images[test], labels[test]),
        DATASETS["digits"].class_names,
    )
