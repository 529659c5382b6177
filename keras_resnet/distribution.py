"""The devices that train, as `tf.distribute` strategies."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def one_device() -> tf.distribute.Strategy:
    """The first GPU, or the CPU where there is none."""
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    return tf.distribute.OneDeviceStrategy(f"/{kind}:0")


STRATEGIES: dict[str, Callable[[], tf.distribute.Strategy]] = {"one_device": one_device}
"""Strategies by the name that a run gives them."""


def per_replica_batch_size(global_batch_size: int, strategy: tf.distribute.Strategy) -> int:
    """Images that each device sees in an iteration.

    Raises:
        ValueError: if the replicas do not divide the batch.
    """
    replicas = strategy.num_replicas_in_sync
    if global_batch_size % replicas:
        raise ValueError(
            f"`global_batch_size` must be a multiple of the {replicas} replicas. "
            f"Received: global_batch_size={global_batch_size}"
        )
    return global_batch_size // replicas


def device_names(strategy: tf.distribute.Strategy) -> list[str]:
    """The devices of a strategy, as text for people."""
    return [str(device) for device in strategy.extended.worker_devices]
