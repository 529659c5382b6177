"""Everything in a training that is a variable, as arrays that a checkpoint can hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import keras
import numpy as np
import tensorflow as tf


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
        variables = {f"{part}/{path}": v for part, paths in parts.items() for path, v in paths.items()}
        self.apart = {name: v for name, v in variables.items() if differs_between_replicas(v)}
        self.common = {name: v for name, v in variables.items() if name not in self.apart}

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
        if keras.backend.backend() == "jax":
            self._gather, self._scatter = self._row, self._set_row

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

    def _row(self) -> np.ndarray:
        """What differs, of the only replica that there is on JAX."""
        return np.concatenate([np.ravel(np.asarray(v.value)) for v in self.apart.values()])[None]

    def _set_row(self, rows: tf.Tensor) -> None:
        ends = np.cumsum([int(np.prod(v.shape)) for v in self.apart.values()])[:-1]
        for variable, value in zip(self.apart.values(), np.split(rows[0].numpy(), ends), strict=True):
            variable.assign(value.reshape(variable.shape))

    def difference(self, saved: Mapping[str, tuple[int, ...]]) -> str | None:
        """The first variable that is not the same in what was saved, in words; the number of replicas may differ."""
        wanted = {name: tuple(variable.shape) for name, variable in self.common.items()}
        wanted |= {name: tuple(variable.shape) for name, variable in self.apart.items()}
        there = {name: tuple(shape)[1:] if name in self.apart else tuple(shape) for name, shape in saved.items()}
        for name, _ in sorted(there.items() ^ wanted.items()):
            old, new = (f"shape {shapes[name]}" if name in shapes else "no place" for shapes in (there, wanted))
            return f"{name} has {old} there, {new} here"
        return None


def differs_between_replicas(variable: keras.Variable) -> bool:
    """Whether each replica has a value of its own."""
    if keras.backend.backend() == "jax":  # an array knows nothing of it
        return variable.synchronization == "on_read"
    return variable.value.synchronization == tf.VariableSynchronization.ON_READ


def by_path(variables: Iterable[keras.Variable]) -> dict[str, keras.Variable]:
    """Variables by their paths, which do not change when a layer is wrapped or an attribute renamed.

    Raises:
        ValueError: if two have the same.
    """
    variables = list(variables)
    paths = {variable.path: variable for variable in variables}
    if len(paths) < len(variables):
        raise ValueError("variables of a checkpoint must have different paths")
    return paths
