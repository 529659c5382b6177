"""From a recipe to a trained network that was measured: one run, from the refusals to the report."""

from __future__ import annotations

import contextlib
import functools
import json
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import keras

from keras_resnet import validation
from keras_resnet.config.recipe import Recipe, hyperparameters_of
from keras_resnet.config.run import Run
from keras_resnet.data import identity
from keras_resnet.data.datasets import loading
from keras_resnet.data.datasets.loading import Data
from keras_resnet.evaluation.error_rates import ErrorRates
from keras_resnet.experiment import backends, build, outcome
from keras_resnet.host.signals import STATUSES, Stopped
from keras_resnet.models import resnet
from keras_resnet.reporting import console
from keras_resnet.runs import data_identity, iterations, lock
from keras_resnet.runs.directory import ELSEWHERE, RunDirectory, refuse_other_images
from keras_resnet.runs.environment import environment
from keras_resnet.runs.results import Values
from keras_resnet.training import batch_sizes, summaries
from keras_resnet.training.backend import Backend, Processes, WorkerLostError, on_chief
from keras_resnet.training.checkpoints import Checkpoints
from keras_resnet.training.intervals import Intervals
from keras_resnet.training.trainer import NonFiniteLossError, Trainer

FAILED = 1
"""Exit status of a run that something outside of it has ended, such as a full disk; `resume=True` continues it."""
DIVERGED = 3
"""Exit status of a run whose loss became infinite or not a number."""
AGAIN = STATUSES[signal.SIGTERM]
"""Exit status of a run that is to be started again with the same command: it was asked to make room, and has saved a
checkpoint, or another process of it is gone. (`EX_TEMPFAIL` of sysexits.h.)"""
INTERRUPTED = STATUSES[signal.SIGINT]
"""Exit status of a run that Ctrl-C has stopped, as of any program."""

SHARED = ("iterations_per_call", "checkpoint_every", "resume", "accept_changes")
"""What all processes of a run must agree on, as it decides what they do at the same time."""

Tell = Callable[[str], None]
"""Takes a line for the person who waits."""
PRINT = functools.partial(print, flush=True)


def train(
    recipe: Recipe,
    run: Run,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    *,
    tell: Tell = PRINT,
) -> int:
    """Trains a recipe's network, measures it, and leaves all of it in the directory of the run.

    With several processes, worker 0 alone reads and writes that directory.

    Args:
        recipe: What may change the result.
        run: What may not.
        callbacks: Keras callbacks; see `Trainer`.
        tell: Takes a line for the person who waits: what happens, and the error that ended the run.

    Returns:
        Exit status: 0, `FAILED`, `DIVERGED`, `AGAIN` or `INTERRUPTED`.

    Raises:
        ValueError, OSError: if the recipe, the data or the directory does not allow it; nothing was changed.

    Differs from the paper:
        CIFAR networks see all 128 images of an iteration on one device, and batch normalization takes its statistics
        over them. The paper had two GPUs, and statistics over 64 images on each; so have two replicas, or
        `normalization_batch_size=64`.
    """
    directory = RunDirectory(run.directory_for(recipe))
    backend = backends.choose(recipe, run)
    try:
        processes = backend.connect(
            strategy=run.strategy,
            replicas=run.replicas,
            global_batch_size=recipe.training.global_batch_size,
            timeout=run.join_timeout,
        )
        with processes.naming_lost_workers():
            check_same(recipe, run, processes)
            if is_finished(directory, recipe, run, processes, tell):
                return 0
            experiment = prepare(backend, processes, recipe, run, directory, tell)
            with contextlib.ExitStack() as held:
                on_chief(processes, lambda: held.enter_context(lock.writing(directory.path)))
                trainer = experiment.begin(callbacks)
                return experiment.carry_out(trainer)
    except WorkerLostError as error:
        tell(f"error: {error}. To continue from the last checkpoint, start all workers again with `resume=True`")
        return AGAIN


def check_same(recipe: Recipe, run: Run, processes: Processes) -> None:
    """Refuses another recipe in one process than in the chief, or another run that would stop at other iterations.

    Raises:
        ValueError: in all processes, naming what differs in the one that differs.
    """
    if processes.count == 1:
        return
    mine = {"recipe": recipe.hyperparameters(), "run": {name: getattr(run, name) for name in SHARED}}
    of_chief = json.loads(processes.broadcast(json.dumps(mine).encode()))
    changes = [
        *validation.differences(hyperparameters_of(of_chief["recipe"]), hyperparameters_of(mine["recipe"])),
        *validation.differences(of_chief["run"], mine["run"]),
    ]
    _refuse_together(changes, "the recipe and the run of worker 0", "", processes)


def _refuse_together(changes: list[str], what: str, where: str, processes: Processes) -> None:
    """Raises an error in all processes if one has changes."""
    if changes:
        listed = "\n  ".join(changes)
        refusal = f"this worker must have {what}{where}. What differs:\n  {listed}"
    else:
        refusal = f"all workers must have {what}. Another says what differs"
    if processes.maximum([bool(changes)])[0]:
        raise ValueError(refusal)


def is_finished(directory: RunDirectory, recipe: Recipe, run: Run, processes: Processes, tell: Tell) -> bool:
    """Whether there is nothing left to do, which is then said; refuses a directory that is not for this recipe."""

    def check() -> bool:
        directory.check(recipe.to_json(), resume=run.resume, accept_changes=run.accept_changes, read=hyperparameters_of)
        iterations.check_not_beyond(directory, recipe.schedule.scaled_iterations)
        return directory.finished

    finished = on_chief(processes, check)
    if finished:
        tell(f"This run is finished.\n{console.report(directory)}")
    return bool(processes.maximum([bool(finished)])[0])


def prepare(
    backend: type[Backend], processes: Processes, recipe: Recipe, run: Run, directory: RunDirectory, tell: Tell
) -> Experiment:
    """Loads the images and builds the network of a run.

    Raises:
        ValueError, OSError: if the recipe, the data or the devices do not fit.
    """
    training = recipe.training
    per_replica = batch_sizes.per_replica_batch_size(
        training.global_batch_size, processes.replicas, training.accumulation
    )
    batch_sizes.check_normalization_batch_size(training.normalization_batch_size, per_replica, processes.replicas)
    data = build.load_data(recipe, run, tell if processes.is_chief else lambda line: None)
    images = identity.of(data)
    check_images(directory, images, run, processes)
    with loading.naming_damaged_images(data, tell):
        made = backends.make(backend, processes, recipe, run, data)
    return Experiment(recipe, run, directory, data, images, made, per_replica, tell)


def check_images(directory: RunDirectory, images: Values, run: Run, processes: Processes) -> None:
    """Refuses other images than those of the run in the directory, and others in one process than in the chief.

    Raises:
        ValueError: naming what differs, in the process that has other images.
    """
    on_chief(processes, lambda: directory.check_data(images, accept_changes=run.accept_changes))
    if processes.count == 1:
        return
    of_chief = json.loads(processes.broadcast(json.dumps(images).encode()))
    changes = data_identity.differences(of_chief, images)
    _refuse_together(changes, "the images of worker 0", ", in its `data_directory`", processes)


@dataclass(frozen=True)
class Experiment:
    """A run of a recipe, in this process.

    Args:
        recipe: What may change the result.
        run: What may not.
        directory: Of the run; read and written by the chief alone.
        data: The images.
        images: Their identity.
        backend: The network, on the devices.
        per_replica_batch_size: Images of a replica at a time.
        tell: Takes a line for the person who waits.
    """

    recipe: Recipe
    run: Run
    directory: RunDirectory
    data: Data
    images: Values
    backend: Backend
    per_replica_batch_size: int
    tell: Tell

    def begin(self, callbacks: Iterable[keras.callbacks.Callback] = ()) -> Trainer:
        """The trainer, where its last checkpoint left it; then the start is noted in the directory.

        Raises:
            ValueError, OSError: if the checkpoints are not this run's, or the directory cannot be written.
        """
        trainer = self._trainer(callbacks)
        messages = trainer.restore(self._accept)
        on_chief(self.backend.processes, self._note_start)
        if self.backend.processes.is_chief:
            self.tell(self._introduction())
            if not summaries.installed():
                messages.append("TensorBoard is not installed: there will be no logs for it (pip install tensorboard)")
            for message in messages:
                self.tell(message)
            if trainer.state.iteration:
                self.tell(f"continues after iteration {trainer.state.iteration}")
        return trainer

    def carry_out(self, trainer: Trainer) -> int:
        """Trains to the end, measures, and keeps the results; returns the exit status."""
        chief, backend = self.backend.processes.is_chief, self.backend
        try:
            with loading.naming_damaged_images(self.data, self.tell), backend.processes.naming_lost_workers():
                trainer.run()
                kept = self._choose(trainer)
                with backend.evaluation_weights():
                    if self.recipe.training.precise_statistics:
                        backend.recompute_statistics(self.recipe.training.precise_statistics)
                    measured = self._measure()
                    values = backend.read()
            if chief:
                outcome.keep(self.directory, self.recipe, self.data, trainer, measured, values, kept)
                self.tell(console.report(self.directory))
        except Stopped as stop:
            if chief:
                self.tell(f"{stop}. To continue: {console.command(self.directory)}")
            return INTERRUPTED if stop.reason is signal.SIGINT else AGAIN
        except NonFiniteLossError as error:
            self.tell(f"error: {error}")
            return DIVERGED
        except (ValueError, OSError) as error:
            self.tell(f"error: {error}")
            return FAILED
        return 0

    def _choose(self, trainer: Trainer) -> int:
        """The iteration whose network is measured and kept, which the backend then has."""
        if self.recipe.training.keep == "last":
            return trainer.state.iteration
        kept, best = trainer.take_best(), trainer.state.best_iteration
        if self.backend.processes.is_chief:
            lost = f"the checkpoint of iteration {best}, the best, cannot be read: the last network is kept"
            self.tell(lost if kept != best else f"iteration {kept} is kept, of the smallest validation error")
        return kept

    def _measure(self) -> dict[str, ErrorRates]:
        """The errors of the network, as it is, on every split that it was not trained on."""
        splits = {name: split for name, split in self.data.splits.items() if name != "train"}
        return {name: self.backend.evaluate(split) for name, split in splits.items()}

    def _trainer(self, callbacks: Iterable[keras.callbacks.Callback]) -> Trainer:
        recipe, run, chief = self.recipe, self.run, self.backend.processes.is_chief
        # An iteration of a very deep network takes seconds: one at a time starts sooner and costs nothing.
        steps_per_execution = 1 if recipe.model.depth > resnet.REMAT_DEPTH else run.iterations_per_call
        return Trainer(
            self.backend,
            build.build_schedule(recipe),
            self.data.validation,
            last_iteration=recipe.schedule.scaled_iterations,
            intervals=Intervals(
                log=recipe.training.log_every,
                validate=recipe.training.validate_every,
                checkpoint=run.checkpoint_every,
                steps_per_execution=steps_per_execution,
            ),
            history=self.directory.history if chief else None,
            checkpoints=self._checkpoints() if chief else None,
            about={"recipe": recipe.hyperparameters(), "data": self.images},
            logs=str(self.directory.logs) if chief and summaries.installed() else None,
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
        """Refuses to continue unasked, or from a checkpoint of another recipe or of other images."""
        if not self.run.resume:
            raise FileExistsError(
                f"{self.run.checkpoint_directory} already holds checkpoints: continue from them with `resume=True`, "
                "or choose another `checkpoint_directory`"
            )
        changes = validation.differences(hyperparameters_of(about["recipe"]), self.recipe.hyperparameters())
        if changes and not self.run.accept_changes:
            listed = "\n  ".join(changes)
            raise ValueError(f"the checkpoints are of another recipe. {ELSEWHERE}. What differs:\n  {listed}")
        if "data" in about:  # checkpoints of earlier versions do not say
            others = data_identity.differences(about["data"], self.images)
            refuse_other_images("the network of the checkpoints", others, self.run.accept_changes)

    def _note_start(self) -> None:
        processes = self.backend.processes
        start = environment(
            processes.devices,
            workers=processes.count,
            replicas=processes.replicas,
            per_replica_batch_size=self.per_replica_batch_size,
            run=self.run.remembered(),
        )
        self.directory.create(
            self.recipe.to_json(),
            start,
            data=self.images,
            resume=self.run.resume,
            accept_changes=self.run.accept_changes,
            read=hyperparameters_of,
        )

    def _introduction(self) -> str:
        """What is about to happen."""
        recipe, data, network, processes = self.recipe, self.data, self.backend.network, self.backend.processes
        sizes = ", ".join(f"{split.size:,} {name}" for name, split in data.splits.items())
        shared = f": {self.per_replica_batch_size} at a time on each of {processes.replicas} replicas"
        return (
            f"{recipe.name}: {network.name}, {network.count_params():,} parameters\n"
            f"{recipe.data.dataset}: {sizes} images of {'x'.join(map(str, data.image_shape))}, "
            f"{len(data.class_names)} classes\n"
            f"{recipe.schedule.scaled_iterations:,} iterations of {recipe.training.global_batch_size} images in "
            f"{recipe.training.precision} on {', '.join(processes.devices)}{shared if processes.replicas > 1 else ''}"
            f"{f' of {processes.count} workers' if processes.count > 1 else ''}\n"
            f"everything is kept in {self.directory.path}"
        )
