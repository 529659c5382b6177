"""The backend that trains a recipe: which there are, what they refuse, and how one is made of a recipe's parts."""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras

from keras_resnet.config.recipe import Recipe
from keras_resnet.config.run import Run
from keras_resnet.data.datasets.loading import Data
from keras_resnet.experiment import build
from keras_resnet.optimization import losses
from keras_resnet.training.backend import Backend, Processes, TrainingImages


def _tensorflow() -> type[Backend]:
    from keras_resnet.training.tensorflow.backend import TensorFlowBackend

    return TensorFlowBackend


def _jax() -> type[Backend]:
    from keras_resnet.training.jax.backend import JaxBackend

    return JaxBackend


BACKENDS: dict[str, Callable[[], type[Backend]]] = {"tensorflow": _tensorflow, "jax": _jax}
"""The backends that train, by the names that Keras gives them."""

SEVERAL_PROCESSES = ("multi_worker", "multi_process")
"""The names of a training of several processes, each backend's own: processes find one another in different ways."""


def choose(recipe: Recipe, run: Run, name: str | None = None) -> type[Backend]:
    """The backend that trains a recipe.

    Args:
        recipe: What may change the result.
        run: What may not.
        name: Of the backend; Keras's, if it is None.

    Raises:
        ValueError: if that backend cannot train this.
    """
    name = name or keras.backend.backend()
    if name not in BACKENDS:
        raise ValueError(
            f"a training needs the backend {' or '.join(BACKENDS)}. Received: KERAS_BACKEND={name}. "
            "Unset it to train with TensorFlow"
        )
    backend = BACKENDS[name]()
    if run.strategy not in backend.strategies:
        known = ", ".join(f"'{strategy}'" for strategy in backend.strategies)
        raise ValueError(
            f"`strategy` must be one of {known} on the {name} backend. Received: strategy='{run.strategy}'"
            f"{_remedy(run.strategy, backend)}"
        )
    return backend


def make(
    backend: type[Backend],
    processes: Processes,
    recipe: Recipe,
    run: Run,
    data: Data,
    *,
    network: Callable[[], keras.Model] | None = None,
    images: TrainingImages | None = None,
) -> Backend:
    """The backend with everything that a recipe trains.

    Args:
        backend: What `choose` gave.
        processes: What its `connect` gave.
        recipe: What may change the result.
        run: What may not.
        data: The images of the recipe.
        network: Builds the network. Defaults to that of the recipe, with random weights.
        images: To train on. Defaults to those of `data`, in the recipe's order and with its augmentation.
    """
    return backend(
        processes,
        network or functools.partial(build.build_network, recipe, data),
        functools.partial(build.build_optimizer, recipe),
        images or build.training_images(recipe, data),
        loss=functools.partial(losses.cross_entropy, smoothing=recipe.training.label_smoothing),
        global_batch_size=recipe.training.global_batch_size,
        global_clipnorm=recipe.optimizer.global_clipnorm,
        accumulation=recipe.training.accumulation,
        normalization_batch_size=recipe.training.normalization_batch_size,
        ema_momentum=recipe.optimizer.ema_momentum,
        scale_loss=recipe.training.precision == "mixed_float16",
        xla=run.xla,
    )


def _remedy(strategy: str, backend: type[Backend]) -> str:
    """What several processes are called there, if they were asked for."""
    if strategy not in SEVERAL_PROCESSES:
        return ""
    there = next(name for name in SEVERAL_PROCESSES if name in backend.strategies)
    return f". Several processes are strategy='{there}' there"
