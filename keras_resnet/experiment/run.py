"""From a recipe to a trained network that was measured: one run, from the refusals to the report."""

from __future__ import annotations

import functools
import signal
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resnet import validation
from keras_resnet.config.recipe import Recipe, hyperparameters_of
from keras_resnet.config.run import Run
from keras_resnet.data import batches
from keras_resnet.data.datasets import loading
from keras_resnet.data.datasets.loading import Data
from keras_resnet.evaluation.error_rates import ErrorRates, evaluator
from keras_resnet.experiment import build
from keras_resnet.host.signals import Stopped
from keras_resnet.models import resnet
from keras_resnet.reporting import console, curves_figure, model_card, tensorboard
from keras_resnet.runs.directory import ELSEWHERE, RunDirectory
from keras_resnet.runs.environment import environment
from keras_resnet.training.checkpoints import Checkpoints
from keras_resnet.training.restoring import WorkerLostError, naming_lost_workers
from keras_resnet.training.tensorflow import strategies
from keras_resnet.training.tensorflow.precise_batch_norm import set_precise_statistics
from keras_resnet.training.tensorflow.replica import Replica
from keras_resnet.training.trainer import Intervals, NonFiniteLossError, Training

FAILED = 1
"""Exit status of a run that something outside of it has ended, such as a full disk; `--run.resume` continues it."""
DIVERGED = 3
"""Exit status of a run whose loss became infinite or not a number."""
AGAIN = 75
"""Exit status of a run that is to be started again with the same command: it was asked to make room, and has saved a
checkpoint, or another process of it is gone. (`EX_TEMPFAIL` of sysexits.h.)"""
INTERRUPTED = 130
"""Exit status of a run that Ctrl-C has stopped, as of any program."""


tell = functools.partial(print, flush=True)


def train(recipe: Recipe, run: Run, callbacks: Iterable[keras.callbacks.Callback] = ()) -> int:
    """Trains a recipe's network, measures it, and leaves all of it in the directory of the run.

    With several processes, worker 0 alone reads and writes that directory.

    Args:
        recipe: What may change the result.
        run: What may not.
        callbacks: Keras callbacks; see `Training`.

    Returns:
        Exit status: 0, `FAILED`, `DIVERGED`, `AGAIN` or `INTERRUPTED`.

    Raises:
        ValueError, OSError: if the recipe, the data or the directory does not allow it; nothing was changed.

    Differs from the paper:
        CIFAR networks see all 128 images of an iteration on one device, and batch normalization takes its statistics
        over them. The paper had two GPUs, and statistics over 64 images on each; so have two replicas, or
        `--training.normalization-batch-size 64`.
    """
    directory = RunDirectory(run.directory_for(recipe))
    kind = experiment_of_backend(recipe, run)
    strategy = strategies.STRATEGIES[run.strategy](run.replicas, recipe.training.global_batch_size, run.join_timeout)
    try:
        with naming_lost_workers(strategy):
            if is_finished(directory, recipe, run, strategy):
                return 0
            experiment = kind(recipe, run, directory, strategy)
            training = experiment.begin(callbacks)
            return experiment.carry_out(training)
    except WorkerLostError as error:
        print(f"error: {error}. To continue from the last checkpoint, start all workers again with --run.resume")
        return AGAIN


def experiment_of_backend(recipe: Recipe, run: Run) -> type[Experiment]:
    """The experiment of the backend that Keras has.

    Raises:
        ValueError: if that backend cannot train this.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return Experiment
    if backend != "jax":
        raise ValueError(
            f"a training needs the backend tensorflow or jax. Received: KERAS_BACKEND={backend}. "
            "Unset it to train with TensorFlow"
        )
    from keras_resnet.experiment import jax_run

    jax_run.check(recipe, run)
    jax_run.hide_accelerators()
    return jax_run.JaxExperiment


def is_finished(directory: RunDirectory, recipe: Recipe, run: Run, strategy: tf.distribute.Strategy) -> bool:
    """Whether there is nothing left to do, which is then said; refuses a directory that is not for this recipe."""

    def check() -> bool:
        directory.check(recipe.to_json(), resume=run.resume, accept_changes=run.accept_changes, read=hyperparameters_of)
        return directory.finished

    finished = strategies.on_chief(strategy, check)
    if finished:
        print(f"This run is finished.\n{console.report(directory)}")
    return bool(strategies.largest(strategy, [bool(finished)])[0])


class Experiment:
    """The parts of a recipe on the devices of a run, in this process.

    Args:
        recipe: What may change the result.
        run: What may not.
        directory: Of the run; read and written by the chief alone.
        strategy: The devices.

    Raises:
        ValueError, OSError: if the recipe, the data or the devices do not fit.
    """

    def __init__(self, recipe: Recipe, run: Run, directory: RunDirectory, strategy: tf.distribute.Strategy):
        settings, self.replicas = recipe.training, strategy.num_replicas_in_sync
        self.recipe, self.run, self.directory, self.strategy = recipe, run, directory, strategy
        self.chief = strategies.is_chief(strategy)
        self.per_replica_batch_size = strategies.per_replica_batch_size(
            settings.global_batch_size, strategy, settings.accumulation
        )
        strategies.check_normalization_batch_size(
            settings.normalization_batch_size, self.per_replica_batch_size, self.replicas
        )
        self.data: Data = build.load_data(recipe, run, tell if self.chief else lambda line: None)
        with loading.naming_damaged_images(self.data, tell), strategy.scope():
            self.replica: Replica = build.build_replica(recipe, self.data, xla=run.xla)

    def begin(self, callbacks: Iterable[keras.callbacks.Callback] = ()) -> Training:
        """The training, where its last checkpoint left it; then the run is noted in its directory.

        Raises:
            ValueError, OSError: if the checkpoints are not this run's, or the directory cannot be written.
        """
        training = self._training(callbacks)
        messages = training.restore(self._accept)
        strategies.on_chief(self.strategy, self._note_start)
        if self.chief:
            print(self._introduction(), flush=True)
            for message in messages:
                print(message)
            if training.state.iteration:
                print(f"continues after iteration {training.state.iteration}", flush=True)
        return training

    def carry_out(self, training: Training) -> int:
        """Trains to the end, measures, and keeps the results; returns the exit status."""
        try:
            with loading.naming_damaged_images(self.data, tell):
                training.run()
                with self.replica.measured():
                    self._make_statistics_precise()
                    measured = {name: self.measure(name) for name in self.data.splits if name != "train"}
                    values = training.variables.read()
            if self.chief:
                self._finish(training, measured, values)
        except Stopped as stop:
            if self.chief:
                print(f"{stop}. To continue: {console.command(self.directory)}")
            return INTERRUPTED if stop.reason is signal.SIGINT else AGAIN
        except NonFiniteLossError as error:
            print(f"error: {error}")
            return DIVERGED
        except (ValueError, OSError) as error:
            print(f"error: {error}")
            return FAILED
        return 0

    @functools.cached_property
    def _evaluate(self):
        return evaluator(self.replica.model, self.strategy)

    @property
    def devices(self) -> list[str]:
        """What trains, in words."""
        return strategies.device_names(self.strategy)

    def measure(self, split: str) -> ErrorRates:
        """The errors of the network as it is on a split."""
        images = self.data.splits[split]
        make = functools.partial(
            batches.evaluation_batches, images, batch_size=self.per_replica_batch_size * self.replicas
        )
        return self._evaluate(strategies.batches(self.strategy, make), images.size)

    def _make_statistics_precise(self) -> None:
        """Replaces the moving averages by an exact average, if the recipe asks for it."""
        if images := self.recipe.training.precise_statistics:
            batches = build.statistics_batches(self.recipe, self.data, self.strategy, images)
            set_precise_statistics(self.replica.model, batches, self.strategy)

    def _training(self, callbacks: Iterable[keras.callbacks.Callback]) -> Training:
        recipe, run, chief = self.recipe, self.run, self.chief
        return Training(
            self.replica,
            build.build_schedule(recipe),
            lambda first: build.training_batches(recipe, self.data, self.strategy, first),
            lambda: self.measure("validation"),
            strategy=self.strategy,
            accumulation=recipe.training.accumulation,
            last_iteration=recipe.schedule.scaled_iterations,
            intervals=Intervals(
                log=recipe.training.log_every,
                validate=recipe.training.validate_every,
                checkpoint=run.checkpoint_every,
                # An iteration of a very deep network takes seconds: calls of one start it sooner and cost nothing.
                call=1 if recipe.model.depth > resnet.REMAT_DEPTH else run.iterations_per_call,
            ),
            history=self.directory.history if chief else None,
            checkpoints=self._checkpoints() if chief else None,
            about={"recipe": recipe.hyperparameters()},
            logs=str(self.directory.logs) if chief else None,
            callbacks=callbacks,
        )

    def _checkpoints(self) -> Checkpoints:
        """The checkpoints, wherever they are kept."""
        return Checkpoints(
            self.run.checkpoint_directory or self.directory.checkpoints,
            keep=self.run.keep_checkpoints,
            asynchronous=self.run.asynchronous_checkpoints,
            timeout=self.run.checkpoint_timeout,
        )

    def _accept(self, about: dict[str, Any]) -> None:
        """Refuses to continue unasked, or from a checkpoint of another recipe."""
        if not self.run.resume:
            raise FileExistsError(
                f"{self.run.checkpoint_directory} already holds checkpoints: add --run.resume to continue from them, "
                "or choose another --run.checkpoint-directory"
            )
        changes = validation.differences(hyperparameters_of(about["recipe"]), self.recipe.hyperparameters())
        if changes and not self.run.accept_changes:
            listed = "\n  ".join(changes)
            raise ValueError(f"the checkpoints are of another recipe. {ELSEWHERE}. What differs:\n  {listed}")

    def _note_start(self) -> None:
        start = environment(
            self.devices,
            workers=strategies.workers(self.strategy),
            replicas=self.replicas,
            per_replica_batch_size=self.per_replica_batch_size,
            run=self.run.remembered(),
        )
        self.directory.create(
            self.recipe.to_json(),
            start,
            resume=self.run.resume,
            accept_changes=self.run.accept_changes,
            read=hyperparameters_of,
        )

    def _introduction(self) -> str:
        """What is about to happen, for the one who waits for it."""
        recipe, data, network, workers = self.recipe, self.data, self.replica.model, strategies.workers(self.strategy)
        sizes = ", ".join(f"{split.size:,} {name}" for name, split in data.splits.items())
        devices = ", ".join(self.devices)
        shared = f": {self.per_replica_batch_size} at a time on each of {self.replicas} replicas"
        return (
            f"{recipe.name}: {network.name}, {network.count_params():,} parameters\n"
            f"{recipe.data.dataset}: {sizes} images of {'x'.join(map(str, data.image_shape))}, "
            f"{len(data.class_names)} classes\n"
            f"{recipe.schedule.scaled_iterations:,} iterations of {recipe.training.global_batch_size} images in "
            f"{recipe.training.precision} on {devices}{shared if self.replicas > 1 else ''}"
            f"{f' of {workers} workers' if workers > 1 else ''}\n"
            f"everything is kept in {self.directory.path}"
        )

    def _finish(self, training: Training, measured: dict[str, ErrorRates], values: dict[str, np.ndarray]) -> None:
        """Leaves the network and what was measured in the directory, the mark that the run is finished last."""
        directory = self.directory
        network = build.portable(self.recipe, self.data, self.replica.model, values)
        whole = directory.model.with_name(f".{directory.model.name}")
        network.save(whole)
        whole.replace(directory.model)
        curves_figure.draw(training.history.rows() if training.history else [], directory.curve, title=self.recipe.name)
        tensorboard.write(directory.logs, self.recipe, measured, training.state.iteration)
        result = {
            "recipe": self.recipe.name,
            "fingerprint": self.recipe.fingerprint,
            "iterations": training.state.iteration,
            "schedule_scale": self.recipe.schedule.scale,
            "training_images": self.data.train.size,
            "view": self.data.validation.view,
            "splits": {name: asdict(errors) for name, errors in measured.items()},
            "best_iteration": training.state.best_iteration,
            "best_validation_error": training.state.best_error,
            "images_per_second": training.images_per_second,
            "class_names": list(self.data.class_names),
        }
        model_card.write(directory, result)
        directory.write_result(result)
        print(console.report(directory))
