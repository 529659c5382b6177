"""Training on the devices of TensorFlow."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.data.splits import Split
from keras_resnet.data.tensorflow import batches
from keras_resnet.evaluation.error_rates import ErrorRates
from keras_resnet.models.layers.batch_normalization import set_normalization_batch_size
from keras_resnet.optimization import losses
from keras_resnet.training import batch_sizes
from keras_resnet.training.backend import MultiStep, TrainingImages
from keras_resnet.training.tensorflow import precise_batch_norm, strategies
from keras_resnet.training.tensorflow.evaluator import evaluator
from keras_resnet.training.tensorflow.loss_scale import LossScale
from keras_resnet.training.tensorflow.moving_average import Average
from keras_resnet.training.tensorflow.multi_step import multi_step
from keras_resnet.training.tensorflow.processes import StrategyProcesses
from keras_resnet.training.tensorflow.replica import Replica
from keras_resnet.training.tensorflow.variables import Variables


class TensorFlowBackend:
    """A network that trains under a `tf.distribute` strategy; see `Backend`.

    Args:
        processes: What `connect` gave.
        network: Builds the network, in the scope of the strategy.
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
        xla: Whether to compile the gradients with XLA.

    Raises:
        ValueError: if the replicas do not divide the batch.
    """

    strategies = tuple(strategies.STRATEGIES)
    waited_seconds = None

    def __init__(
        self,
        processes: StrategyProcesses,
        network: Callable[[], keras.Model],
        optimizer: Callable[[keras.Model], keras.optimizers.Optimizer],
        images: TrainingImages,
        *,
        global_batch_size: int,
        loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] = losses.cross_entropy,
        accumulation: int = 1,
        normalization_batch_size: int | None = None,
        global_clipnorm: float | None = None,
        ema_momentum: float | None = None,
        scale_loss: bool = False,
        xla: bool = False,
    ):
        self.processes, self.strategy, self.images = processes, processes.strategy, images
        self.global_batch_size, self.accumulation = global_batch_size, accumulation
        self.normalization_batch_size = normalization_batch_size
        self._per_replica = batch_sizes.per_replica_batch_size(global_batch_size, processes.replicas, accumulation)
        with self.strategy.scope():
            self.network = network()
            set_normalization_batch_size(self.network, normalization_batch_size)
            self.replica = Replica(
                self.network,
                optimizer(self.network),
                global_batch_size=global_batch_size,
                loss=loss,
                global_clipnorm=global_clipnorm,
                loss_scale=LossScale() if scale_loss else None,
                average=None if ema_momentum is None else Average(self.network, ema_momentum),
                xla=xla,
            )
        self._variables = Variables(self.strategy, self.replica.variables)

    @staticmethod
    def connect(*, strategy: str, replicas: int | None, global_batch_size: int, timeout: float) -> StrategyProcesses:
        return StrategyProcesses(strategies.STRATEGIES[strategy](replicas, global_batch_size, timeout))

    @property
    def exhausted(self) -> bool:
        return bool(self.replica.loss_scale and self.replica.loss_scale.exhausted)

    def start(self, first_iteration: int, *, steps_per_execution: int) -> MultiStep:
        make = functools.partial(
            batches.training_batches,
            self.images.split,
            global_batch_size=self.global_batch_size // self.accumulation,
            augmentation=self.images.augmentation,
            padding=self.images.padding,
            seed=self.images.seed,
            first_iteration=first_iteration * self.accumulation,
        )
        # One iterator for the whole run: deleting an iterator can stall.
        iterator = iter(strategies.batches(self.strategy, make))
        execute = multi_step(
            self.replica,
            strategy=self.strategy,
            accumulation=self.accumulation,
            steps_per_execution=steps_per_execution,
        )

        def train(rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            losses, misclassified = execute(iterator, rates)
            return losses.numpy(), misclassified.numpy()

        return train

    @functools.cached_property
    def _evaluate(self) -> Callable[..., ErrorRates]:
        return evaluator(self.network, self.strategy)

    def evaluate(self, split: Split) -> ErrorRates:
        size = self._per_replica * self.processes.replicas
        make = functools.partial(batches.evaluation_batches, split, batch_size=size)
        return self._evaluate(strategies.batches(self.strategy, make), split.size)

    def evaluation_weights(self) -> AbstractContextManager[None]:
        return self.replica.average.in_place() if self.replica.average else nullcontext()

    def recompute_statistics(self, images: int) -> None:
        parts = precise_batch_norm.statistics_batches(
            self.images,
            images,
            self.strategy,
            global_batch_size=self.global_batch_size,
            accumulation=self.accumulation,
            normalization_batch_size=self.normalization_batch_size,
        )
        precise_batch_norm.set_precise_statistics(self.network, parts, self.strategy)

    def read(self) -> dict[str, np.ndarray]:
        return self._variables.read()

    def write(self, values: Mapping[str, np.ndarray]) -> None:
        self._variables.write(values)

    def difference(self, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
        return self._variables.difference(shapes)
