"""Every augmentation of version 0.1 gives the pixels that it gave, once JPEGs are decoded as they were then.

The digests were made by that version (commit 03ebb10), with this file's splits and the words in `AUGMENTATIONS`.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.config.version_0_1 import AUGMENTATIONS
from keras_resnet.data.encoded_splits import FileSplit
from keras_resnet.data.splits import ArraySplit
from keras_resnet.data.tensorflow import encoded_images
from keras_resnet.data.tensorflow.batches import training_batches
from tiers import slow

DIGESTS = {
    "fixed-size": {
        "none": "0e89e7e359ae2f9ddf6384e1b58e64b591f1ccb45d65812e16c5b16d7c203da7",
        "crop": "fa00d5d967c7fff2f76f281e5cc4b3f89869374c36492fbc9410da06fd511fe4",
        "crop-flip": "edc0eecdea4d28cedd1eef0eb88fbe155f9aaebfe6a876ff3afd32913df1f5d4",
    },
    "encoded": {
        "none": "abf38436033f4347403f038890de1618dcc6fd49ecbdd24ed04e85fae02b22a8",
        "crop": "d23a2c6394a1dbc85ec31a805e9a4ba2a7eeb8325561a1f6fa40b9af82bfe219",
        "crop-flip": "08e83f4a5bef7a2bc4cf46decabaa475310f84ead8806a9a5d4c553cbdd902d8",
        "crop-flip-colour": "615f37ce38ffb59c7e44989648bfe3267e0519fe211a3bcd070aad9d8eec2846",
        "scale-flip": "c6d83d1e854544fda85bae8b7f0129b2fb6459007ec8e985083c833522623f99",
        "scale-flip-colour": "c02d55b2956e44a11e79ab4b9fdaf847826e494543d70b19c3fecd40e0d06220",
    },
}


@pytest.fixture(scope="module")
def splits(tmp_path_factory) -> dict:
    """Twenty small images of noise; ten files, smaller and larger than the squares, of which half are JPEG."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 7, 6, 3), np.uint8)
    folder, paths = tmp_path_factory.mktemp("files"), []
    for number, (height, width) in enumerate([(40, 30), (9, 50), (150, 90), (30, 31), (12, 12)]):
        coarse = np.random.default_rng(number).integers(0, 256, (3, 4, 3), np.uint8)
        image = np.kron(coarse, np.ones((-(-height // 3), -(-width // 4), 1), np.uint8))[:height, :width]
        for kind, encode in {"jpg": tf.io.encode_jpeg, "png": tf.io.encode_png}.items():
            path = folder / f"{number}.{kind}"
            path.write_bytes(encode(image).numpy())
            paths.append(str(path))
    return {"fixed-size": ArraySplit(noise, np.arange(20)), "encoded": FileSplit(tuple(paths), np.arange(10), 8)}


PARTS = {("encoded", "crop"), ("encoded", "crop-flip"), ("encoded", "scale-flip"), ("fixed-size", "crop")}
"""Those of which another one does all, and more."""

CASES = [(images, word) for images in DIGESTS for word in DIGESTS[images]]


@pytest.mark.parametrize(("images", "word"), [*(case for case in CASES if case not in PARTS), *slow(sorted(PARTS))])
def test_the_images_are_those_of_version_0_1_to_the_bit(splits, images, word, monkeypatch):
    monkeypatch.setattr(encoded_images, "DCT_METHOD", "INTEGER_FAST")
    names = AUGMENTATIONS[images][word]
    batches = training_batches(
        splits[images], global_batch_size=4, augmentation=names, padding=2, seed=3, first_iteration=4
    )
    digest = hashlib.sha256()
    for pixels, labels in batches.take(6).as_numpy_iterator():
        digest.update(pixels.tobytes() + labels.tobytes())
    assert digest.hexdigest() == DIGESTS[images][word]
    assert AUGMENTATIONS[images].keys() == DIGESTS[images].keys()
