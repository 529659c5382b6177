"""Training on the devices of JAX."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_resnet.data.splits import Split
from keras_resnet.evaluation.error_rates import ErrorRates
from keras_resnet.models.layers.batch_normalization import set_normalization_batch_size
from keras_resnet.models.layers.replicas import AXIS
from keras_resnet.optimization import losses
from keras_resnet.training import batch_sizes, batch_statistics
from keras_resnet.training.backend import MultiStep, TrainingImages
from keras_resnet.training.jax import (
    held_images,
    loss_scale,
    multi_step,
    precise_batch_norm,
    reading,
    strategies,
)
from keras_resnet.training.jax.evaluator import evaluator
from keras_resnet.training.jax.mesh import placed
from keras_resnet.training.jax.processes import MeshProcesses
from keras_resnet.training.jax.replica import Replica
from keras_resnet.training.jax.variables import Layout, Variables

if TYPE_CHECKING:
    import jax

AHEAD_HELD, AHEAD_FED = 50, 2
"""Iterations that the devices are given before they have done them; of fed ones, each has its images in their
memory."""


class JaxBackend:
    """A network that trains on a mesh of JAX's devices; see `Backend`.

    Images that all devices can hold stay in their memory; others are read and sent while they train.

    Args:
        processes: What `connect` gave.
        network: Builds the network.
        optimizer: Builds the optimizer of that network.
        images: To train on.
        loss: From logits float32 [batch, classes] and labels int32 [batch] to the loss of each image, float32 [batch].
        global_batch_size: Images in an iteration, over all replicas.
        accumulation: Parts of an iteration, one after the other.
        normalization_batch_size: Images over which batch normalization takes its statistics; None: those that a replica
            has at a time.
        global_clipnorm: The largest norm of the gradient over all weights and replicas.
        ema_momentum: Momentum of the moving average of the weights; None: no average.
        scale_loss: Whether to scale the loss, for float16.
        xla: Not read; JAX compiles with it in any case.

    Raises:
        ValueError: if the replicas do not divide the batch.
    """

    strategies = tuple(strategies.STRATEGIES)

    def __init__(
        self,
        processes: MeshProcesses,
        network: Callable[[], keras.Model],
        optimizer: Callable[[keras.Model], keras.optimizers.Optimizer],
        images: TrainingImages,
        *,
        global_batch_size: int,
        loss: Callable = losses.cross_entropy,
        accumulation: int = 1,
        normalization_batch_size: int | None = None,
        global_clipnorm: float | None = None,
        ema_momentum: float | None = None,
        scale_loss: bool = False,
        xla: bool = False,
    ):
        self.processes, self.mesh, self.images = processes, processes.mesh, images
        self.global_batch_size, self.accumulation = global_batch_size, accumulation
        self.normalization_batch_size = normalization_batch_size
        self._per_replica = batch_sizes.per_replica_batch_size(global_batch_size, processes.replicas, accumulation)
        self.network = network()
        set_normalization_batch_size(self.network, normalization_batch_size)
        self.replica = Replica(
            self.network,
            optimizer(self.network),
            global_batch_size=global_batch_size,
            loss=loss,
            global_clipnorm=global_clipnorm,
            ema_momentum=ema_momentum,
            scale_loss=scale_loss,
        )
        averages = ema_momentum is not None
        layout = Layout(self.network, self.replica.optimizer, averages=averages, scales_loss=scale_loss)
        self.variables = Variables(self.mesh, layout)
        self._feed: reading.Feed | None = None

    @staticmethod
    def connect(*, strategy: str, replicas: int | None, global_batch_size: int, timeout: float) -> MeshProcesses:
        return strategies.STRATEGIES[strategy](replicas, timeout)

    @property
    def exhausted(self) -> bool:
        scale = self.variables.values.get(loss_scale.SCALE)
        return scale is not None and float(scale) < loss_scale.SMALLEST

    @property
    def waited_seconds(self) -> float:
        return self._feed.waited_seconds if self._feed else 0.0

    def start(self, first_iteration: int, *, steps_per_execution: int) -> MultiStep:
        make = self._fed if not held_images.fit(self.images, self.mesh) else self._held
        return make(first_iteration, steps_per_execution)

    def _held(self, first_iteration: int, steps_per_execution: int) -> MultiStep:
        read, held = held_images.reading(self.images), held_images.hold(self.images.split, self.mesh)
        choices = held_images.choices(self.images, self.global_batch_size, self.accumulation, first_iteration)
        given = (self.replica, self.variables, read, held)
        if steps_per_execution > 1 and multi_step.has_fast_loops(self.mesh):
            return multi_step.one_program(*given, choices, steps_per_execution=steps_per_execution)

        def parts() -> Iterator[list[tuple]]:
            for iteration in choices:
                yield [tuple(placed(rows, self.mesh, AXIS) for rows in part) for part in zip(*iteration, strict=True)]

        return multi_step.one_by_one(*given, parts(), ahead=AHEAD_HELD)

    def _fed(self, first_iteration: int, steps_per_execution: int) -> MultiStep:
        size = self.global_batch_size // self.accumulation
        first = first_iteration * self.accumulation
        # One iterator for the whole run: workers that read ahead start once.
        feed = self._feed = reading.training(self.images, self.mesh, batch_size=size, first_batch=first)

        def parts() -> Iterator[list[tuple]]:
            while True:
                yield [next(feed) for _ in range(self.accumulation)]

        def read(held: tuple, part: tuple) -> tuple:
            return part

        def started(loss: jax.Array) -> None:
            feed.output = loss

        return multi_step.one_by_one(self.replica, self.variables, read, (), parts(), ahead=AHEAD_FED, started=started)

    @functools.cached_property
    def _evaluate(self) -> Callable[..., ErrorRates]:
        return evaluator(self.network, self.variables)

    def evaluate(self, split: Split) -> ErrorRates:
        size = self._per_replica * self.processes.replicas
        with contextlib.closing(reading.evaluation(split, self.mesh, batch_size=size)) as batches:
            return self._evaluate(batches, split.size)

    def evaluation_weights(self) -> AbstractContextManager[None]:
        return self._exchanged() if self.replica.ema_momentum is not None else nullcontext()

    @contextlib.contextmanager
    def _exchanged(self) -> Iterator[None]:
        self.variables.exchange_averages()
        try:
            yield
        finally:
            self.variables.exchange_averages()

    def recompute_statistics(self, images: int) -> None:
        count, size = batch_statistics.batches_of(
            images,
            global_batch_size=self.global_batch_size,
            per_replica=self._per_replica,
            replicas=self.processes.replicas,
            together=self.normalization_batch_size,
        )
        with contextlib.closing(reading.training(self.images, self.mesh, batch_size=size, first_batch=0)) as feed:
            precise_batch_norm.set_precise_statistics(self.network, self.variables, itertools.islice(feed, count))

    def read(self) -> dict[str, np.ndarray]:
        return self.variables.read()

    def write(self, values: Mapping[str, np.ndarray]) -> None:
        self.variables.write(values)

    def difference(self, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
        return self.variables.difference(shapes)
