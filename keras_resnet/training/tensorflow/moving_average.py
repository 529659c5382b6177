"""Moving averages of everything that a network learns: its weights and its batch statistics."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from keras_resnet.training.variable_names import by_path, differs_between_replicas


class Average:
    """An exponential moving average of a network's variables, beside the network.

    At iteration t its momentum is the smaller of `momentum` and (1 + t) / (10 + t), so that the first weights, which
    are random, are soon forgotten. Made, like the network, in the scope of the strategy.

    Args:
        model: Built.
        momentum: Share of the old average, in [0, 1).
    """

    def __init__(self, model: keras.Model, momentum: float):
        self.momentum = momentum
        self._strategy = tf.distribute.get_strategy()
        averaged = [v for v in model.variables if keras.backend.is_float_dtype(v.dtype)]
        self.variables = {path: _copy(variable) for path, variable in by_path(averaged).items()}
        pairs = list(zip(averaged, self.variables.values(), strict=True))
        self._apart = [pair for pair in pairs if differs_between_replicas(pair[0])]
        self._common = [pair for pair in pairs if not differs_between_replicas(pair[0])]

    def update(self, iteration: tf.Tensor, changed: tf.Tensor | bool = True) -> None:
        """Follows the network; in each replica, after its update.

        Args:
            iteration: int64 scalar; iterations done.
            changed: bool scalar; whether the network did change.
        """
        done = tf.cast(iteration, tf.float32)
        share = tf.where(changed, 1.0 - tf.minimum(self.momentum, (1.0 + done) / (10.0 + done)), 0.0)
        for variable, average in self._apart:
            average.assign(average + share * (variable - average))

        def follow(strategy, share):
            for variable, average in self._common:
                strategy.extended.update(average.value, _approach, args=(variable.value, share), group=False)

        tf.distribute.get_replica_context().merge_call(follow, args=(share,))

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """While open, the network has the averages for variables."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @functools.cached_property
    def _exchange(self) -> Callable[[], None]:
        def exchange(pairs) -> None:
            for variable, average in pairs:
                old = tf.identity(variable.value)
                variable.assign(average.value)
                average.assign(old)

        @tf.function(autograph=False)
        def everywhere() -> None:
            self._strategy.run(lambda: exchange(self._apart))
            exchange(self._common)

        return everywhere


def _approach(average: tf.Variable, variable: tf.Variable, share: tf.Tensor) -> None:
    average.assign_add(share * (variable - average))


def _copy(variable: keras.Variable) -> keras.Variable:
    apart = differs_between_replicas(variable)
    return keras.Variable(
        keras.ops.convert_to_numpy(variable),
        dtype=variable.dtype,
        trainable=False,
        autocast=False,
        synchronization="on_read" if apart else "auto",
        aggregation="mean" if apart else "none",
        name=variable.name,
    )
