"""A run on the JAX backend: one device, which holds the images."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import keras
import tensorflow as tf

from keras_resnet.config.recipe import Recipe
from keras_resnet.config.run import Run
from keras_resnet.data import order
from keras_resnet.data.augmentation.jax_fixed_size import augment
from keras_resnet.data.splits import ArraySplit
from keras_resnet.experiment.run import Experiment
from keras_resnet.facts.augmentation import draws
from keras_resnet.facts.datasets import DATASETS
from keras_resnet.training.jax.evaluator import evaluator
from keras_resnet.training.jax.multi_step import iterations
from keras_resnet.training.trainer import Training


def check(recipe: Recipe, run: Run) -> None:
    """Refuses what TensorFlow's loop does and this one does not.

    Raises:
        ValueError: naming the flag, and the way out.
    """
    settings = recipe.training
    lacking = {
        f"--data.dataset {recipe.data.dataset}": DATASETS[recipe.data.dataset].image_shape is None,
        f"--training.precision {settings.precision}": settings.precision == "mixed_float16",
        f"--training.accumulation {settings.accumulation}": settings.accumulation > 1,
        "--training.normalization-batch-size": settings.normalization_batch_size is not None,
        "--training.precise-statistics": settings.precise_statistics > 0,
        "--optimizer.ema-momentum": recipe.optimizer.ema_momentum is not None,
        f"--run.strategy {run.strategy}": run.strategy != "one_device",
        "--run.xla": run.xla,
    }
    if asked := [flag for flag, is_asked in lacking.items() if is_asked]:
        raise ValueError(
            "on the JAX backend a training has one device and images of one size; "
            f"it does not know {', '.join(asked)}. Leave that away, or train with KERAS_BACKEND=tensorflow"
        )


class JaxExperiment(Experiment):
    """`Experiment` with the iterations and the validations of JAX; TensorFlow still reads the images, on the CPU."""

    @functools.cached_property
    def _evaluate(self):
        return evaluator(self.replica.model)

    @property
    def devices(self) -> list[str]:
        """The device of JAX that trains."""
        import jax

        return [f"{jax.devices()[0]} ({jax.devices()[0].device_kind}), JAX {jax.__version__}"]

    def _training(self, callbacks: Iterable[keras.callbacks.Callback]) -> Training:
        recipe, train = self.recipe, self.data.train
        assert isinstance(train, ArraySplit)  # `check` refuses encoded images
        augmentation, padding = recipe.data.augmentation, recipe.data.padding
        batch_size, seed = recipe.training.global_batch_size, recipe.training.seed
        training = super()._training(callbacks)
        training.iterate = iterations(
            self.replica,
            train.images,
            train.labels,
            lambda images, numbers: augment(images, numbers, augmentation, padding),
            most=training.intervals.call,
        )
        training.batches = lambda first: order.batches(
            train.size, draws(augmentation), seed=seed, batch_size=batch_size, first_iteration=first
        )
        return training


def hide_accelerators() -> None:
    """Leaves the memory of the accelerators to JAX."""
    tf.config.set_visible_devices([], "GPU")
