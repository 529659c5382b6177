"""Checkpoints that survive a full disk, a killed process and a damaged file, on any file system of TensorFlow's."""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_resnet.runs.iterations import of_checkpoints

PROGRESS = "progress"
"""The tensor in a checkpoint that holds the progress, as JSON."""

COUNT = "count"
"""The tensor that holds how many arrays the checkpoint has.

TensorFlow passes over a damaged block of an index as though its arrays had never been saved. An index has a second
block from some 10,000 arrays on.
"""

OF_0_1 = "_CHECKPOINTABLE_OBJECT_GRAPH"
"""A tensor of the checkpoints of version 0.1.0, which TensorFlow's own `Checkpoint` wrote."""

DAMAGE = (tf.errors.OpError, IndexError, ValueError, NotImplementedError)
"""What TensorFlow raises for damaged files; an IndexError where one is too short."""

LEFTOVER = re.compile(r"ckpt-\d+(\.(index|data-\d+-of-\d+)\.tempstate\d+|_temp.*)")
"""Names that only a write has that did not end."""

Difference = Callable[[Mapping[str, tuple[int, ...]]], str | None]
"""From shapes by name to what is wrong with them, or None if nothing is."""


class DamageError(Exception):
    """A checkpoint cannot be read."""


@dataclass(frozen=True)
class Saved:
    """What was saved, and the path it was read from, without the suffixes of the files."""

    path: str
    values: dict[str, np.ndarray]
    progress: dict[str, Any]


class Checkpoints:
    """The latest checkpoints of a run, `ckpt-{iteration}`, in TensorFlow's format: arrays by their names, and JSON.

    Every file operation of a `save` happens in a thread of its own. A process that ends does not wait for it: call
    `wait` before. One process at a time may write to a directory; others may read.

    Args:
        directory: Made with the first checkpoint. A path of any file system that TensorFlow knows ("gs://…"), without
            "[".
        keep: How many of the latest checkpoints are kept; at least 1.
        asynchronous: Whether `save` returns while the checkpoint is being written.
        timeout: Seconds to wait for a checkpoint to be written, so that a disk that hangs stops the training.
    """

    def __init__(
        self, directory: str | os.PathLike, *, keep: int = 3, asynchronous: bool = False, timeout: float = 600.0
    ):
        self.directory = os.fspath(directory)
        if "[" in self.directory:  # TensorFlow could write there, but when it reads it takes the path for a pattern
            raise ValueError(f'`directory` must not contain "[". Received: directory={self.directory!r}')
        self._keep = keep
        self._asynchronous = asynchronous
        self._timeout = timeout
        self._damaged: set[int] = set()
        self._last: str | None = None
        """The last good checkpoint, as far as is known without asking the disk."""
        self._iteration = 0
        self._writer: threading.Thread | None = None
        self._error: Exception | None = None

    def save(
        self, iteration: int, values: Mapping[str, np.ndarray], progress: Mapping[str, Any], *, best: int | None = None
    ) -> str:
        """Writes a checkpoint, once the one before is written, and then deletes those that are too many.

        A whole checkpoint of the same iteration is replaced; a process that is killed meanwhile may lose both.

        Args:
            iteration: Iterations done.
            values: Arrays by name. Neither they nor the mapping may change until the checkpoint is written.
            progress: What `restore` is to return beside them; fit for JSON. It may change at once.
            best: Iteration of a checkpoint that is kept although it is not among the latest.

        Returns:
            The path of the checkpoint, without the suffixes of its files.

        Raises:
            OSError: if this checkpoint, or the one before, cannot be written or is not written in time. The checkpoints
                before it stay, and one that cannot be written leaves nothing behind.
            ValueError: if a name is empty or one of the two that are taken.
        """
        # An empty name would end the process: it is that of the header of the index.
        if taken := values.keys() & {"", PROGRESS, COUNT}:
            raise ValueError(f"no array of a checkpoint may be named {min(taken)!r}")
        document = json.dumps(progress)
        self.wait()
        self._iteration = iteration
        # No executor: the interpreter waits for the threads of those when it ends.
        self._writer = threading.Thread(
            target=self._run, args=(iteration, values, document, best), name=f"checkpoint {iteration}", daemon=True
        )
        self._writer.start()
        if not self._asynchronous:
            self.wait()
        return self._path(iteration)

    def wait(self) -> None:
        """Returns when the last checkpoint is written.

        Raises:
            OSError: if it could not be written, or is not written in time.
        """
        if self._writer is None:
            return
        self._writer.join(self._timeout)
        if self._writer.is_alive():
            last = f"The last good checkpoint is {self._last}" if self._last else "No earlier one is known"
            raise OSError(
                f"the checkpoint of iteration {self._iteration} is not written after {self._timeout:g} s: the disk of "
                f"{self.directory} is too slow or does not answer. {last}"
            )
        self._writer = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def restore(self, difference: Difference) -> tuple[Saved | None, list[str]]:
        """Reads the latest checkpoint that is whole.

        Args:
            difference: Asked what is wrong with the shapes of a checkpoint before any of its arrays is read.

        Returns:
            (saved, messages): None if there is no checkpoint; and one line for each damaged checkpoint that was passed
            over.

        Raises:
            ValueError: if there are checkpoints, and none of them can be read; or if one is of another network.
            OSError: if the directory cannot be read.
        """
        self.wait()
        messages = []
        iterations = self._iterations()
        for iteration in reversed(iterations):
            path = self._path(iteration)
            try:
                saved = _read(path, difference)
            except DamageError as error:
                self._damaged.add(iteration)
                messages.append(f"{path} is damaged and was passed over: {error}")
            else:
                self._damaged.discard(iteration)
                self._last = path
                return saved, messages
        if iterations:
            raise ValueError(
                f"no checkpoint in {self.directory} can be read. Choose another `directory`. " + "; ".join(messages)
            )
        return None, messages

    @property
    def latest(self) -> str | None:
        """The latest checkpoint on the disk that was not found damaged, without the suffixes of its files."""
        whole = [iteration for iteration in self._iterations() if iteration not in self._damaged]
        return self._path(whole[-1]) if whole else None

    def _path(self, iteration: int) -> str:
        return f"{self.directory.rstrip('/')}/ckpt-{iteration}"

    def _names(self) -> set[str]:
        """The names in the directory."""
        try:
            # `listdir` calls a directory that does not answer missing; `exists` tells the two apart.
            if not tf.io.gfile.exists(self.directory):
                return set()
            return {name.rstrip("/") for name in tf.io.gfile.listdir(self.directory)}
        except tf.errors.OpError as error:
            raise OSError(f"the checkpoints in {self.directory} cannot be listed: {_reason(error)}") from error

    def _iterations(self) -> list[int]:
        """Iterations of the checkpoints whose index is there, which is written last; the oldest is first."""
        return of_checkpoints(self._names())

    def _run(self, iteration: int, values: Mapping[str, np.ndarray], document: str, best: int | None) -> None:
        """Writes a checkpoint in the thread; what goes wrong is for `wait` to tell."""
        try:
            self._write(iteration, values, document)
            self._delete_old(iteration, best)
        except Exception as error:
            self._error = error

    def _write(self, iteration: int, values: Mapping[str, np.ndarray], document: str) -> None:
        path = self._path(iteration)
        try:
            self._last = self.latest
            self._delete_leftovers()  # before the new one: they may be what fills the disk
            tf.io.gfile.makedirs(self.directory)
            write_bundle(path, {**values, PROGRESS: np.array(document, object), COUNT: np.array(len(values))})
        except (tf.errors.OpError, OSError) as error:
            self._clear(iteration)
            last = f"The last good checkpoint is {self._last}" if self._last else "There is no earlier one"
            raise OSError(
                f"the checkpoint of iteration {iteration} cannot be written to {self.directory}: {_reason(error)}. "
                f"{last}. Free space there, then continue with `resume=True`"
            ) from error
        self._damaged.discard(iteration)
        self._last = path

    def _clear(self, iteration: int) -> None:
        """Removes what a failed write left; a whole checkpoint that it was to replace stays if it still is whole."""
        with contextlib.suppress(tf.errors.OpError, OSError):  # the disk may be away
            try:
                _read(self._path(iteration))
            except DamageError:
                self._delete(iteration)
            self._delete_leftovers()
            self._last = self.latest

    def _delete_old(self, iteration: int, best: int | None) -> None:
        # What cannot be deleted now is tried again with the next checkpoint.
        with contextlib.suppress(tf.errors.OpError, OSError):
            found = self._iterations()
            whole = [one for one in found if one not in self._damaged]
            later = [one for one in self._damaged if one > iteration]  # to be replaced when training gets there
            for old in set(found) - {*whole[-self._keep :], *later, iteration, best}:
                self._delete(old)

    def _delete(self, iteration: int) -> None:
        """Deletes a checkpoint; the index first, so that what is left of it is never taken for one."""
        for suffix in ("index", "data-00000-of-00001"):
            with contextlib.suppress(tf.errors.NotFoundError):
                tf.io.gfile.remove(f"{self._path(iteration)}.{suffix}")

    def _delete_leftovers(self) -> None:
        """Deletes what writes left that did not end, and nothing else."""
        names = self._names()
        for name in names:
            data = re.fullmatch(r"(ckpt-\d+)\.data-\d+-of-\d+", name)
            if LEFTOVER.fullmatch(name) or (data and f"{data[1]}.index" not in names):
                path = f"{self.directory.rstrip('/')}/{name}"
                (tf.io.gfile.rmtree if tf.io.gfile.isdir(path) else tf.io.gfile.remove)(path)


def write_bundle(path: str, values: Mapping[str, np.ndarray]) -> None:
    """Writes arrays in TensorFlow's checkpoint format, whole or not at all.

    Seen with strace under TensorFlow 2.21: the operation writes `{path}.data-00000-of-00001.tempstate{number}`, renames
    it, and only then writes and renames the index in the same way. On file systems without an atomic rename it writes
    under the final names, the index last as well. So a checkpoint that was not there before is whole once its index is
    there; one that is replaced has new data and an old index for a moment, which the checksums tell.
    """
    with tf.device("CPU:0"):
        tf.raw_ops.SaveV2(
            prefix=path,
            tensor_names=list(values),
            shape_and_slices=[""] * len(values),
            tensors=[tf.convert_to_tensor(value) for value in values.values()],
        )


def _read(path: str, difference: Difference = lambda _: None) -> Saved:
    """Reads a checkpoint; its checksums are checked on the way."""
    with _damage_noted():
        # What `tf.train.load_checkpoint` returns, which takes a path of some file systems for a directory.
        reader = tf.compat.v1.train.NewCheckpointReader(path)
        shapes = {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
    if OF_0_1 in shapes:
        raise ValueError(
            f"{path} is a checkpoint of version 0.1.0, which no later version can continue. Choose another `directory` "
            "to start anew"
        )
    with _damage_noted():
        count = int(reader.get_tensor(COUNT)) + len((PROGRESS, COUNT))
        if len(shapes) != count:
            raise ValueError(f"its index has {len(shapes)} of {count} entries")
        progress = json.loads(reader.get_tensor(PROGRESS))
    del shapes[PROGRESS], shapes[COUNT]
    if text := difference(shapes):
        raise ValueError(f"{path} is a checkpoint of another network: {text}. Choose another `directory`")
    with _damage_noted():
        return Saved(path, {name: np.asarray(reader.get_tensor(name)) for name in sorted(shapes)}, progress)


@contextlib.contextmanager
def _damage_noted() -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise DamageError(_reason(error)) from error


def _reason(error: Exception) -> str:
    """The first line of an error, without TensorFlow's names of operations."""
    message = getattr(error, "message", str(error)).partition("\n")[0]
    return re.sub(r"\{\{.*?\}\} | \[Op:\w+\]", "", message)
