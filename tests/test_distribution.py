"""The devices: their names, and the batch that they share."""

from __future__ import annotations

from typing import get_args

import pytest

from keras_resnet import config, distribution


def test_the_table_has_a_row_for_every_word_of_a_run():
    assert tuple(distribution.STRATEGIES) == get_args(config.Strategy)


def test_one_device_computes_everything():
    strategy = distribution.one_device()
    assert strategy.num_replicas_in_sync == 1
    assert distribution.per_replica_batch_size(7, strategy) == 7
    [name] = distribution.device_names(strategy)
    assert name.endswith(("CPU:0", "GPU:0"))


def test_replicas_share_a_batch_that_they_divide(two_devices):
    assert distribution.per_replica_batch_size(128, two_devices) == 64
    assert len(distribution.device_names(two_devices)) == 2
    expected = "`global_batch_size` must be a multiple of the 2 replicas. Received: global_batch_size=127"
    with pytest.raises(ValueError, match=expected):
        distribution.per_replica_batch_size(127, two_devices)
