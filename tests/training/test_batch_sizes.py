"""How an iteration's images are divided."""

from __future__ import annotations

import pytest

from keras_resnet.training.batch_sizes import check_normalization_batch_size, per_replica_batch_size


def test_replicas_share_a_batch_that_they_divide():
    assert per_replica_batch_size(7, 1) == 7
    assert per_replica_batch_size(128, 2) == 64
    expected = "`global_batch_size` must be a multiple of the 2 replicas. Received: global_batch_size=127"
    with pytest.raises(ValueError, match=expected):
        per_replica_batch_size(127, 2)


def test_replicas_share_each_part_of_an_accumulation():
    assert per_replica_batch_size(128, 2, accumulation=4) == 16
    expected = "multiple of the 2 replicas, times 3 parts of the accumulation. Received: global_batch_size=128"
    with pytest.raises(ValueError, match=expected):
        per_replica_batch_size(128, 2, accumulation=3)


@pytest.mark.parametrize("images", [None, 1, 16, 32, 64, 128])
def test_statistics_over_parts_of_a_replica_or_whole_replicas_are_accepted(images):
    check_normalization_batch_size(images, per_replica=32, replicas=4)


@pytest.mark.parametrize("images", [24, 48, 96, 256])
def test_statistics_over_parts_of_several_replicas_are_refused(images):
    with pytest.raises(ValueError, match=f"`normalization_batch_size` must be .* 32 images .*batch_size={images}"):
        check_normalization_batch_size(images, per_replica=32, replicas=4)
