"""The processes of a `tf.distribute` strategy, and what they tell one another."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from keras_resnet.training.backend import WorkerLostError
from keras_resnet.training.tensorflow import strategies

CHUNK = 2**24
"""The most bytes in one all-reduce."""

LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError, tf.errors.CancelledError)
"""What TensorFlow raises when a process that it needs is gone."""


class StrategyProcesses:
    """The processes of a strategy; see `Processes`.

    All that they tell one another goes through one all-reduce: a sum of int64 [n], to which one replica gives its bits
    and every other one zeros. A device sends and receives at most twice the n elements, however many devices there are
    (Patarasuk and Yuan, 2009, "Bandwidth optimal all-reduce algorithms for clusters of workstations"). Not int32, whose
    sum TensorFlow refuses on GPUs.

    Args:
        strategy: The devices.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self.strategy = strategy

    @property
    def count(self) -> int:
        resolver = self.strategy.cluster_resolver
        multi = isinstance(self.strategy, tf.distribute.MultiWorkerMirroredStrategy)
        return max(1, len(resolver.cluster_spec().as_dict().get("worker", []))) if multi and resolver else 1

    @property
    def is_chief(self) -> bool:
        return self.count == 1 or self._index == 0

    @property
    def replicas(self) -> int:
        return self.strategy.num_replicas_in_sync

    @property
    def devices(self) -> list[str]:
        return strategies.device_names(self.strategy)

    @property
    def _index(self) -> int:
        return self.strategy.cluster_resolver.task_id if self.count > 1 else 0

    def broadcast(self, message: bytes | None) -> bytes:
        """The message of the chief, in every process; a device sends at most twice its bytes, `CHUNK` after `CHUNK`."""
        if self.count == 1:
            return message or b""
        sent = (message or b"") if self.is_chief else b""
        [size] = map(int, self.maximum([len(sent)]))
        # Nothing is sent where there is nothing: an all-reduce of no elements never ends.
        return b"".join(
            self._sum_of_chunk(sent[start : start + CHUNK], min(CHUNK, size - start)) for start in range(0, size, CHUNK)
        )

    def maximum(self, values: Sequence[float]) -> list[float]:
        """The largest value of all processes, element by element, in float64; a device sends `count` rows of them.

        `tf.distribute` has no maximum among its reductions: each process gives a row of its own to the sum.
        """
        rows = np.zeros([self.count, len(values)], "float64")
        rows[self._index] = values
        if self.count > 1:
            bits = self._sum_over_processes(tf.constant(rows.view("int64").ravel()))
            rows = bits.numpy().view("float64").reshape(rows.shape)
        return rows.max(axis=0).tolist()

    def _sum_of_chunk(self, chunk: bytes, size: int) -> bytes:
        """The chunk of the process that has it, in every process; the others give b"", and all know its size."""
        padded = chunk.ljust(size + -size % 8, b"\0")
        return self._sum_over_processes(tf.constant(np.frombuffer(padded, "int64"))).numpy().tobytes()[:size]

    @functools.cached_property
    def _sum_over_processes(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """The sum of int64 [n] over the processes, each of which counts once whatever its replicas; traced once."""
        strategy, replicas = self.strategy, self.replicas // self.count

        def add(words: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            first = tf.equal(context.replica_id_in_sync_group % replicas, 0)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(first, words, tf.zeros_like(words)))

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.int64)])
        def sum_over_processes(words: tf.Tensor) -> tf.Tensor:
            return strategy.experimental_local_results(strategy.run(add, args=(words,)))[0]

        return sum_over_processes

    @contextlib.contextmanager
    def naming_lost_workers(self) -> Iterator[None]:
        """Turns those of TensorFlow's errors that mean that another process is gone into a `WorkerLostError`."""
        try:
            yield
        except tf.errors.OpError as error:
            lost = isinstance(error, LOST) or "Collective ops is aborted" in str(error.message)
            if self.count > 1 and lost:
                raise WorkerLostError(f"another worker is gone: {str(error.message)[:300]}") from error
            raise
