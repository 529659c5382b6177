"""Everything in a training that is a variable, as arrays that a checkpoint can hold."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.training import variable_names


class Variables:
    """The variables of a training by names such as `model/conv1_conv/kernel`.

    Moving statistics differ between replicas, and reading them gives their mean. Here they are read and written one by
    one, so that what continues is what was stopped, to the bit.

    Args:
        strategy: The devices.
        parts: Variables by path, by the name of what they belong to.
    """

    def __init__(self, strategy: tf.distribute.Strategy, parts: Mapping[str, Mapping[str, keras.Variable]]):
        self.strategy = strategy
        self.common, self.apart = variable_names.named(parts)

        @tf.function(autograph=False)
        def gather() -> tf.Tensor:
            def flat() -> tf.Tensor:
                return tf.concat([tf.reshape(tf.cast(v.value, tf.float32), [-1]) for v in self.apart.values()], 0)[None]

            return strategy.gather(strategy.run(flat), axis=0)

        @tf.function(autograph=False)
        def scatter(rows: tf.Tensor) -> None:
            def assign(rows: tf.Tensor) -> None:
                replica = tf.distribute.get_replica_context().replica_id_in_sync_group
                sizes = [int(np.prod(v.shape)) for v in self.apart.values()]
                for variable, value in zip(self.apart.values(), tf.split(rows[replica], sizes), strict=True):
                    variable.assign(tf.cast(tf.reshape(value, variable.shape), variable.dtype))

            strategy.run(assign, args=(rows,))

        self._gather, self._scatter = gather, scatter

    def read(self) -> dict[str, np.ndarray]:
        """Every value; [replicas, …] where replicas differ. All processes must call it at the same time."""
        values = {name: np.array(variable.value) for name, variable in self.common.items()}
        if self.apart:
            rows = np.asarray(self._gather())
            ends = np.cumsum([int(np.prod(v.shape)) for v in self.apart.values()])[:-1]
            for (name, variable), part in zip(self.apart.items(), np.split(rows, ends, axis=1), strict=True):
                values[name] = part.reshape(-1, *variable.shape)
        return values

    def write(self, values: Mapping[str, np.ndarray]) -> None:
        """Sets what `read` gave; replicas of another number all get the mean of those that were."""
        for name, variable in self.common.items():
            variable.assign(values[name])
        if not self.apart:
            return
        replicas = self.strategy.num_replicas_in_sync
        rows = np.concatenate([values[name].reshape(len(values[name]), -1) for name in self.apart], axis=1)
        if len(rows) != replicas:
            rows = np.repeat(rows.mean(axis=0, dtype="float64", keepdims=True), replicas, axis=0)
        self._scatter(tf.constant(rows, tf.float32))

    def difference(self, saved: Mapping[str, tuple[int, ...]]) -> str | None:
        """The first variable that is not the same in what was saved, in words; the number of replicas may differ."""
        return variable_names.difference(self.common, self.apart, saved)
