"""From a recipe to a trained network: the only place that sees what was asked for and the parts together."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resnet import distribution, networks, runs
from keras_resnet.config import ModelConfig, Recipe, Run
from keras_resnet.data import batches, loading, statistics
from keras_resnet.data.loading import Data
from keras_resnet.evaluation.errors import Errors, evaluator
from keras_resnet.optimizers import OPTIMIZERS
from keras_resnet.reporting import curves
from keras_resnet.residual_network import ResidualNetwork
from keras_resnet.runs import RunDirectory
from keras_resnet.schedules import SCHEDULES, Schedule
from keras_resnet.training.checkpoints import Checkpoints
from keras_resnet.training.history import History
from keras_resnet.training.loop import Interrupted, Intervals, NonFiniteLossError, Training

INTERRUPTED = 130
"""Exit status of a run that Ctrl-C has stopped, as of any program."""
DIVERGED = 3
"""Exit status of a run whose loss became infinite or not a number."""

BUILDERS = {"imagenet": networks.ResNet, "cifar": networks.CifarResNet}
"""Families of networks by the name that a recipe gives them."""


def train(recipe: Recipe, run: Run, callbacks: Iterable[keras.callbacks.Callback] = ()) -> int:
    """Trains a recipe's network, measures it, and leaves all of it in the directory of the run.

    Args:
        recipe: What may change the result.
        run: What may not.
        callbacks: Keras callbacks; see `Training`.

    Returns:
        Exit status: 0, `INTERRUPTED` or `DIVERGED`.

    Raises:
        ValueError, OSError: if the recipe, the data or the directory does not allow it; nothing was overwritten.

    Differs from the paper:
        CIFAR networks see all 128 images of an iteration on one device, and batch normalization takes its statistics
        over them. The paper had two GPUs, and statistics over 64 images on each.
    """
    directory = RunDirectory(run.directory_for(recipe))
    directory.check(recipe.to_json(), resume=run.resume)
    if directory.finished:
        print(f"This run is finished.\n{report(directory)}")
        return 0
    data = load_data(recipe, run)
    strategy = distribution.STRATEGIES[run.strategy]()
    per_replica = distribution.per_replica_batch_size(recipe.training.global_batch_size, strategy)
    devices = distribution.device_names(strategy)
    with loading.naming_damaged_images(data), strategy.scope():
        network = build_network(recipe, data)
        optimizer = build_optimizer(recipe, network)
    evaluate = evaluator(network, strategy)
    directory.create(recipe.to_json(), runs.environment(devices, per_replica_batch_size=per_replica), resume=run.resume)
    training = Training(
        network,
        optimizer,
        build_schedule(recipe),
        lambda first: training_batches(recipe, data, first),
        lambda: _errors(evaluate, data, "validation", recipe),
        strategy=strategy,
        global_batch_size=recipe.training.global_batch_size,
        last_iteration=recipe.schedule.scaled_iterations,
        intervals=Intervals(
            log=recipe.training.log_every,
            validate=recipe.training.validate_every,
            checkpoint=run.checkpoint_every,
            # An iteration of a very deep network takes seconds: calls of one start it sooner and cost nothing.
            call=1 if recipe.model.depth > networks.REMAT_DEPTH else run.iterations_per_call,
        ),
        history=History(directory.history),
        checkpoints=Checkpoints(directory.checkpoints, network, optimizer, keep=run.keep_checkpoints),
        logs=str(directory.logs),
        callbacks=callbacks,
    )
    print(introduction(recipe, data, network, devices, directory), flush=True)
    for message in training.restore():
        print(message)
    if training.state.iteration:
        print(f"continues after iteration {training.state.iteration}", flush=True)
    try:
        with loading.naming_damaged_images(data):
            training.run()
    except Interrupted as stop:
        print(f"{stop}. To continue, repeat the command with --run.resume --run.directory {directory.path}")
        return INTERRUPTED
    except NonFiniteLossError as error:
        print(f"error: {error}")
        return DIVERGED
    network.save(directory.model)
    curves.draw(training.history.rows(), directory.curve, title=recipe.name)
    with loading.naming_damaged_images(data):
        measured = {name: asdict(_errors(evaluate, data, name, recipe)) for name in data.splits if name != "train"}
    directory.write_result(result(recipe, training, data, measured))
    print(report(directory))
    return 0


def load_data(recipe: Recipe, run: Run) -> Data:
    """The splits of the recipe's data set."""
    return loading.load(
        recipe.data.dataset, run.data_directory, holdout=recipe.data.holdout, image_size=recipe.data.image_size
    )


def training_batches(recipe: Recipe, data: Data, first_iteration: int) -> tf.data.Dataset:
    """The endless batches of a recipe from an iteration on."""
    return batches.training_batches(
        data.train,
        global_batch_size=recipe.training.global_batch_size,
        augmentation=recipe.data.augmentation,
        padding=recipe.data.padding,
        seed=recipe.training.seed,
        first_iteration=first_iteration,
    )


def build_network(recipe: Recipe, data: Data) -> ResidualNetwork:
    """The network with its normalization in front: from images of 0 to 255 to logits.

    What is saved therefore needs no preprocessing, and cannot be given the wrong one.
    """
    keras.utils.set_random_seed(recipe.training.seed)
    mean, deviation = statistics.mean_and_deviation(data.train, recipe.data.normalization)
    with dtype_policy(recipe.training.precision):
        image = keras.Input(data.image_shape, dtype="uint8", name="image")
        return BUILDERS[recipe.model.family](
            recipe.model.depth,
            input_tensor=normalization(mean, deviation)(image),
            classes=len(data.class_names),
            classifier_activation=None,
            **network_options(recipe.model),
        )


def normalization(mean: np.ndarray, deviation: np.ndarray) -> keras.layers.Layer:
    """(image - mean) / deviation in float32: a mean image in bfloat16 would be off by half a grey level.

    Args:
        mean: float32 [height, width, channels], or [1, 1, channels] where every pixel has the same.
        deviation: float32, as `mean` or [1, 1, channels].
    """
    axis = -1 if mean.shape[:2] == (1, 1) else (1, 2, 3)
    deviation = np.broadcast_to(deviation, mean.shape)
    squeeze = (lambda array: array[0, 0]) if axis == -1 else (lambda array: array)
    return keras.layers.Normalization(
        axis, mean=squeeze(mean), variance=squeeze(deviation) ** 2, dtype="float32", name="normalization"
    )


def network_options(model: ModelConfig) -> dict[str, Any]:
    """The keyword-only arguments of the builder that a model's configuration has."""
    options = {name: value for name, value in vars(model).items() if name not in ("family", "depth")}
    if model.family == "imagenet":
        del options["block"]
    return options


def build_optimizer(recipe: Recipe, network: keras.Model) -> keras.optimizers.Optimizer:
    """The optimizer, with its variables."""
    settings = recipe.optimizer
    optimizer = OPTIMIZERS[settings.name](
        learning_rate=recipe.schedule.learning_rate,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        coupled_weight_decay=settings.weight_decay,
    )
    optimizer.build(network.trainable_variables)
    return optimizer


def build_schedule(recipe: Recipe) -> Schedule:
    """The schedule, with everything that is counted in iterations scaled."""
    settings = recipe.schedule
    scaled = {
        "iterations": settings.scaled_iterations,
        "boundaries": settings.scaled_boundaries,
        "warmup_iterations": settings.scaled_warmup_iterations,
    }
    return SCHEDULES[settings.name](**(vars(settings) | scaled))


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Sets Keras's dtype policy for the layers that are made inside."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _errors(evaluate, data: Data, split: str, recipe: Recipe) -> Errors:
    images = data.splits[split]
    return evaluate(batches.evaluation_batches(images, batch_size=recipe.training.global_batch_size), images.size)


def introduction(recipe: Recipe, data: Data, network: keras.Model, devices: list[str], directory: RunDirectory) -> str:
    """What is about to happen, for the one who waits for it."""
    sizes = ", ".join(f"{split.size:,} {name}" for name, split in data.splits.items())
    return (
        f"{recipe.name}: {network.name}, {network.count_params():,} parameters\n"
        f"{recipe.data.dataset}: {sizes} images of {'x'.join(map(str, data.image_shape))}, "
        f"{len(data.class_names)} classes\n"
        f"{recipe.schedule.scaled_iterations:,} iterations of {recipe.training.global_batch_size} images in "
        f"{recipe.training.precision} on {', '.join(devices)}\n"
        f"everything is kept in {directory.path}"
    )


def result(recipe: Recipe, training: Training, data: Data, measured: dict[str, Any]) -> dict[str, Any]:
    """What `result.json` holds."""
    return {
        "recipe": recipe.name,
        "fingerprint": recipe.fingerprint,
        "iterations": training.state.iteration,
        "schedule_scale": recipe.schedule.scale,
        "view": "whole image",
        "splits": measured,
        "images_per_second": training.images_per_second,
        "class_names": list(data.class_names),
    }


def report(directory: RunDirectory) -> str:
    """The end of a run, for the one who waited for it: what was measured, where it lies, what to type next."""
    kept = directory.read_result()
    python = os.path.relpath(sys.executable) if Path(sys.prefix).is_relative_to(Path.cwd()) else "python"
    lines = [f"{'split':12}{'images':>8}{'top-1 error':>14}{'loss':>10}"]
    for name, errors in kept["splits"].items():
        lines.append(f"{name:12}{errors['images']:>8,}{errors['top1_error']:>13.2f}%{errors['loss']:>10.4f}")
    if speed := kept["images_per_second"]:
        lines.append(f"{speed:,.0f} images per second")
    return "\n".join(
        [
            *lines,
            f"model    {directory.model}",
            f"curve    {directory.curve}",
            f"metrics  {directory.result} and {directory.history}",
            "next",
            f"  {python} -m tensorboard.main --logdir {directory.logs}",
            f'  {python} -c "import keras, keras_resnet; keras.saving.load_model({str(directory.model)!r}).summary()"',
            f"  {python} recipes/train.py --list",
        ]
    )
