"""Checkpoints that survive a full disk and a damaged file."""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
"""What TensorFlow appends to the name of a variable in a checkpoint."""

DAMAGE = (tf.errors.OpError, IndexError, ValueError, NotImplementedError, AssertionError)
"""What TensorFlow raises for damaged files; an IndexError where one is too short."""


class _Progress(tf.train.experimental.PythonState):
    """What is not a variable, as JSON inside of the checkpoint."""

    def __init__(self) -> None:
        self.value: dict[str, Any] = {}

    def serialize(self) -> str:
        return json.dumps(self.value)

    def deserialize(self, string_value: bytes) -> None:
        self.value = json.loads(string_value)


class Checkpoints:
    """The latest checkpoints of a run, `ckpt-{iteration}`.

    A checkpoint holds weights, batch statistics, the optimizer's variables, and the state of the loop.

    Args:
        directory: Made with the first checkpoint.
        model: Built.
        optimizer: Built.
        keep: Checkpoints that are kept; older ones are deleted after a new one is whole.
    """

    def __init__(
        self, directory: str | os.PathLike, model: keras.Model, optimizer: keras.optimizers.Optimizer, *, keep: int = 3
    ):
        self.directory = Path(directory)
        self._progress = _Progress()
        self._variables = {"model": _by_path(model.variables), "optimizer": _by_path(optimizer.variables)}
        self._checkpoint = tf.train.Checkpoint(**self._variables, progress=self._progress)
        _ = self._checkpoint.save_counter  # `save` would make it, and a new process then miss it
        self._damaged: set[Path] = set()
        self._keep = keep
        self._manager: tf.train.CheckpointManager | None = None

    def save(self, iteration: int, progress: dict[str, Any]) -> str:
        """Writes a checkpoint and deletes the oldest one if there are too many.

        Args:
            iteration: Iterations done.
            progress: What `restore` is to return; fit for JSON.

        Returns:
            The path of the checkpoint.

        Raises:
            OSError: if it cannot be written. The checkpoints before it stay, and it leaves nothing behind.
        """
        self._progress.value = progress
        try:
            manager = self._opened_manager()
            path = manager.save(checkpoint_number=iteration)
        except (tf.errors.OpError, OSError) as error:
            self._remove(iteration)
            last = self.latest
            raise OSError(
                f"the checkpoint of iteration {iteration} cannot be written to {self.directory}: {_reason(error)}. "
                f"{f'The last good checkpoint is {last}' if last else 'There is no earlier one'}. "
                "Free space there, then continue with --run.resume"
            ) from error
        self._damaged.discard(Path(path))
        return path

    def restore(self) -> tuple[dict[str, Any] | None, list[str]]:
        """Loads the latest checkpoint that is whole.

        Returns:
            (progress, messages): what was given to `save`, or None if there is no checkpoint; and one line for each
            damaged checkpoint that was passed over.

        Raises:
            ValueError: if there are checkpoints, and none of them can be read; or if one is of another network, of
                which nothing is loaded.
        """
        messages = []
        paths = self._paths()
        for path in reversed(paths):
            try:
                difference = self._difference(path)
                if not difference:
                    self._checkpoint.read(str(path)).assert_consumed()
                    return self._progress.value, messages
            except DAMAGE as error:
                self._damaged.add(path)
                messages.append(f"{path} is damaged and was passed over: {_reason(error)}")
            else:
                raise ValueError(
                    f"{path} is a checkpoint of another network: {difference}. Choose another --run.directory"
                )
        if paths:
            raise ValueError(
                f"no checkpoint in {self.directory} can be read. Choose another --run.directory. " + "; ".join(messages)
            )
        return None, messages

    @property
    def latest(self) -> Path | None:
        """The latest checkpoint on the disk that was not found damaged, without the suffix of its files."""
        paths = [path for path in self._paths() if path not in self._damaged]
        return paths[-1] if paths else None

    def _opened_manager(self) -> tf.train.CheckpointManager:
        # Made late: making it reads and writes the directory, and both can fail.
        if self._manager is None:
            self._manager = tf.train.CheckpointManager(self._checkpoint, str(self.directory), self._keep)
        return self._manager

    def _difference(self, path: Path) -> str | None:
        """The first variable that is not the same in a checkpoint; its index tells, before any is overwritten."""
        saved = {name: tuple(shape) for name, shape in tf.train.list_variables(str(path)) if name.endswith(SUFFIX)}
        saved.pop(f"save_counter{SUFFIX}", None)
        wanted = {
            f"{part}/{name.replace('.', '..').replace('/', '.S')}{SUFFIX}": tuple(variable.shape)
            for part, variables in self._variables.items()
            for name, variable in variables.items()
        }
        for name, _ in sorted(saved.items() ^ wanted.items()):
            shown = name.removesuffix(SUFFIX).replace(".S", "/").replace("..", ".")
            there, here = (f"shape {shapes[name]}" if name in shapes else "no place" for shapes in (saved, wanted))
            return f"{shown} has {there} there, {here} here"
        return None

    def _paths(self) -> list[Path]:
        """Every checkpoint whose index is there, oldest first; the index is written last."""
        found = {}
        for file in self.directory.glob("ckpt-*.index"):
            if match := re.fullmatch(r"ckpt-(\d+)", file.stem):
                found[int(match[1])] = file.with_suffix("")
        return [found[iteration] for iteration in sorted(found)]

    def _remove(self, iteration: int) -> None:
        for pattern in (f"ckpt-{iteration}.*", f"ckpt-{iteration}_temp/*", "checkpoint.tmp*"):
            for file in self.directory.glob(pattern):
                file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (self.directory / f"ckpt-{iteration}_temp").rmdir()


def _reason(error: Exception) -> str:
    """The first line of an error, without TensorFlow's names of operations."""
    message = getattr(error, "message", str(error)).partition("\n")[0]
    return re.sub(r"\{\{.*?\}\} | \[Op:\w+\]", "", message)


def _by_path(variables) -> dict[str, tf.Variable]:
    """Variables by their paths, which do not change when a layer is wrapped or an attribute renamed."""
    by_path = {variable.path: variable.value for variable in variables}
    if len(by_path) < len(variables):
        raise ValueError("variables of a checkpoint must have different paths")
    return by_path
