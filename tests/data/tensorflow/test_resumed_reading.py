"""What a run has consumed is not read again when it continues."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.encoded_splits import FileSplit
from keras_resnet.data.order import permutation
from keras_resnet.data.tensorflow import batches

SIZE, BATCH, DONE = 24, 4, 4


@pytest.fixture
def split(tmp_path) -> FileSplit:
    """Pictures, of which those that come first in the second epoch are gone."""
    images = np.random.default_rng(0).integers(0, 256, (SIZE, 8, 8, 3), dtype=np.uint8)
    paths = [tmp_path / f"{index}.png" for index in range(SIZE)]
    for path, image in zip(paths, images, strict=True):
        path.write_bytes(tf.io.encode_png(image).numpy())
    for index in permutation(SIZE, seed=3, epoch=1)[: DONE * BATCH]:
        paths[index].unlink()
    return FileSplit(tuple(map(str, paths)), np.arange(SIZE), 8)


def first_batches(split: FileSplit, iteration: int, count: int) -> list[np.ndarray]:
    pipeline = batches.training_batches(
        split, global_batch_size=BATCH, augmentation=(), seed=3, first_iteration=iteration
    )
    return [labels.numpy() for _, labels in pipeline.take(count)]


def test_a_run_that_continues_reads_only_what_is_to_come(split):
    second = SIZE // BATCH
    labels = first_batches(split, second + DONE, second - DONE)
    assert np.concatenate(labels).tolist() == permutation(SIZE, seed=3, epoch=1)[DONE * BATCH :].tolist()


def test_what_was_taken_away_would_be_missed(split):
    with pytest.raises(tf.errors.NotFoundError):
        first_batches(split, SIZE // BATCH + DONE - 1, 1)
