"""Training on a device of JAX that holds the images."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import keras
import numpy as np

from keras_resnet.data import order
from keras_resnet.data.splits import ArraySplit, Split
from keras_resnet.data.tensorflow import batches
from keras_resnet.evaluation.error_rates import ErrorRates
from keras_resnet.facts.augmentation import draws
from keras_resnet.optimization import losses
from keras_resnet.training.backend import MultiStep, OneProcess, TrainingImages
from keras_resnet.training.jax import processes as jax_processes
from keras_resnet.training.jax.augmentation import augment
from keras_resnet.training.jax.evaluator import evaluator
from keras_resnet.training.jax.multi_step import multi_step
from keras_resnet.training.jax.variables import Variables
from keras_resnet.training.variable_names import by_path


class JaxBackend:
    """A network that trains on one device of JAX; see `Backend`. TensorFlow reads the images, on the CPU.

    Args:
        processes: What `connect` gave.
        network: Builds the network.
        optimizer: Builds the optimizer of that network.
        images: To train on, of one size.
        loss: From logits float32 [batch, classes] and labels int32 [batch] to the loss of each image, float32 [batch].
        global_batch_size: Images in an iteration.
        global_clipnorm: The largest norm of the gradient over all weights.
        accumulation: 1; like the others below, the same for every backend.
        normalization_batch_size: None.
        ema_momentum: None.
        scale_loss: False.
        xla: False; JAX compiles with it in any case.

    Raises:
        ValueError: if more is asked for than is supported.
    """

    def __init__(
        self,
        processes: OneProcess,
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
        if lacking := self.unsupported(
            image_shape=images.split.image_shape if isinstance(images.split, ArraySplit) else None,
            accumulation=accumulation,
            normalization_batch_size=normalization_batch_size,
            ema_momentum=ema_momentum,
            scale_loss=scale_loss,
            xla=xla,
        ):
            names = ", ".join(f"`{name}`" for name in lacking)
            raise ValueError(f"{names} must keep the default on the JAX backend")
        self.processes, self.images, self.global_batch_size = processes, images, global_batch_size
        self.loss, self.global_clipnorm = loss, global_clipnorm
        self.network = network()
        self.optimizer = optimizer(self.network)
        parts = {"model": by_path(self.network.variables), "optimizer": by_path(self.optimizer.variables)}
        self._variables = Variables(parts)

    @staticmethod
    def connect(*, strategy: str, replicas: int | None, global_batch_size: int, timeout: float) -> OneProcess:
        return jax_processes.connect()

    @staticmethod
    def unsupported(
        *,
        image_shape: tuple[int, int, int] | None,
        strategy: str = "one_device",
        accumulation: int = 1,
        normalization_batch_size: int | None = None,
        precise_statistics: int = 0,
        ema_momentum: float | None = None,
        scale_loss: bool = False,
        xla: bool = False,
    ) -> list[str]:
        asked = {
            "strategy": strategy != "one_device",
            "image_shape": image_shape is None,
            "accumulation": accumulation > 1,
            "normalization_batch_size": normalization_batch_size is not None,
            "precise_statistics": precise_statistics > 0,
            "ema_momentum": ema_momentum is not None,
            "scale_loss": scale_loss,
            "xla": xla,
        }
        return [name for name, is_asked in asked.items() if is_asked]

    @property
    def exhausted(self) -> bool:
        return False

    def start(self, first_iteration: int, *, steps_per_execution: int) -> MultiStep:
        split, augmentation = self.images.split, self.images.augmentation
        padding = self.images.padding
        chosen = order.batches(
            split.size,
            draws(augmentation),
            seed=self.images.seed,
            batch_size=self.global_batch_size,
            first_iteration=first_iteration,
        )
        execute = multi_step(
            self.network,
            self.optimizer,
            split.images,
            split.labels,
            lambda images, numbers: augment(images, numbers, augmentation, padding),
            global_batch_size=self.global_batch_size,
            steps_per_execution=steps_per_execution,
            loss=self.loss,
            global_clipnorm=self.global_clipnorm,
        )
        return functools.partial(execute, chosen)

    @functools.cached_property
    def _evaluate(self) -> Callable[..., ErrorRates]:
        return evaluator(self.network)

    def evaluate(self, split: Split) -> ErrorRates:
        return self._evaluate(batches.evaluation_batches(split, batch_size=self.global_batch_size), split.size)

    def evaluation_weights(self) -> AbstractContextManager[None]:
        return nullcontext()

    def recompute_statistics(self, images: int) -> None:
        raise NotImplementedError("`precise_statistics` must be 0 on the JAX backend")

    def read(self) -> dict[str, np.ndarray]:
        return self._variables.read()

    def write(self, values: Mapping[str, np.ndarray]) -> None:
        self._variables.write(values)

    def difference(self, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
        return self._variables.difference(shapes)
