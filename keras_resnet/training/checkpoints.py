"""Checkpoints that survive a full disk, a killed process and a damaged file, on this machine or in a bucket.

fsspec reaches the buckets: it is small, knows every kind of storage, and each engine can use it without the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from keras_resnet.host import storage
from keras_resnet.runs import iterations
from keras_resnet.training import archives, variable_names

LEFTOVER = re.compile(r"\.ckpt-\d+\.npz\.\d+\.unfinished|ckpt-\d+(\.(index|data-\d+-of-\d+)\.tempstate\d+|_temp.*)")
"""Names that only a write has that did not end; the last ones are those of versions before 0.4."""

DATA_OF_A_BUNDLE = re.compile(r"(ckpt-\d+)\.data-\d+-of-\d+")
"""A file of a checkpoint of a version before 0.4, which is one only together with its index."""

PATTERN = frozenset("*?[")
"""What makes fsspec and TensorFlow take a path for a pattern."""

Difference = Callable[[Mapping[str, tuple[int, ...]]], str | None]
"""From shapes by name to what is wrong with them, or None if nothing is."""


class DamageError(Exception):
    """A checkpoint cannot be read."""


class RefusedError(ValueError):
    """A checkpoint is whole, and cannot be continued by this version or on this machine."""


@dataclass(frozen=True)
class Saved:
    """What was saved, and the path it was read from."""

    path: str
    values: dict[str, np.ndarray]
    progress: dict[str, Any]


class Checkpoints:
    """The latest checkpoints of a run, `ckpt-{iteration}.npz`: arrays by their names, and JSON; see `archives`.

    Those of versions before 0.4 are read where TensorFlow is installed, and give way to new ones.

    Every file operation of a `save` happens in a thread of its own. A process that ends does not wait for it: call
    `wait` before. One process at a time may write to a directory; others may read.

    Args:
        directory: Made with the first checkpoint. A path, or the URL of a bucket ("gs://…") without "*", "?" and "[".
        keep: How many of the latest checkpoints are kept; at least 1.
        asynchronous: Whether `save` returns while the checkpoint is being written.
        timeout: Seconds to wait for a checkpoint to be written, so that a disk that hangs stops the training.
    """

    def __init__(
        self, directory: str | os.PathLike, *, keep: int = 3, asynchronous: bool = False, timeout: float = 600.0
    ):
        self.directory = os.fspath(directory)
        if storage.is_url(self.directory) and PATTERN & set(self.directory):
            raise ValueError(f'`directory` must not contain "*", "?" or "[". Received: directory={self.directory!r}')
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

        A checkpoint of the same iteration is replaced.

        Args:
            iteration: Iterations done.
            values: Arrays by name. Neither they nor the mapping may change until the checkpoint is written.
            progress: What `restore` is to return beside them; fit for JSON. It may change at once.
            best: Iteration of a checkpoint that is kept although it is not among the latest.

        Returns:
            The path of the checkpoint.

        Raises:
            OSError: if this checkpoint, or the one before, cannot be written or is not written in time. The checkpoints
                before it stay, and one that cannot be written leaves nothing behind.
            ValueError: if a name or a number type has no place in the format.
        """
        archives.check(values)
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
            ValueError: if there are checkpoints, and none of them can be read; or if one is of another network, or
                needs TensorFlow, which is not installed.
            OSError: if the directory cannot be read.
        """
        self.wait()
        messages = []
        found = self._found()
        for iteration, path in sorted(found.items(), reverse=True):
            try:
                saved = _read(path, difference)
            except DamageError as error:
                self._damaged.add(iteration)
                messages.append(f"{path} is damaged and was passed over: {error}")
            else:
                self._damaged.discard(iteration)
                self._last = path
                return saved, messages
        if found:
            raise ValueError(
                f"no checkpoint in {self.directory} can be read. Choose another `directory`. " + "; ".join(messages)
            )
        return None, messages

    def read(self, iteration: int, difference: Difference) -> Saved | None:
        """Reads the checkpoint of an iteration; `None` if it is not there, or is damaged.

        Raises:
            ValueError: if it is of another network.
            OSError: if the directory cannot be read.
        """
        self.wait()
        path = self._found().get(iteration)
        if path is None:
            return None
        try:
            return _read(path, difference)
        except DamageError:
            self._damaged.add(iteration)
            return None

    @property
    def latest(self) -> str | None:
        """The latest checkpoint on the disk that was not found damaged."""
        whole = {iteration: path for iteration, path in self._found().items() if iteration not in self._damaged}
        return whole[max(whole)] if whole else None

    def _path(self, iteration: int) -> str:
        return storage.join(self.directory, f"ckpt-{iteration}.npz")

    def _names(self) -> set[str]:
        """The names in the directory."""
        try:
            return set(storage.names(self.directory))
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise OSError(f"the checkpoints in {self.directory} cannot be listed: {_reason(error)}") from error

    def _found(self) -> dict[int, str]:
        """The paths of the checkpoints by their iterations; a bundle's is that of its index, which is written last."""
        names = iterations.checkpoints(self._names())
        return {iteration: storage.join(self.directory, name) for iteration, name in names.items()}

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
            storage.make_directories(self.directory)
            write_file(path, values, document)
        except OSError as error:
            with contextlib.suppress(OSError):  # the disk may be away
                self._delete_leftovers()
            last = f"The last good checkpoint is {self._last}" if self._last else "There is no earlier one"
            raise OSError(
                f"the checkpoint of iteration {iteration} cannot be written to {self.directory}: {_reason(error)}. "
                f"{last}. Free space there, then continue with `resume=True`"
            ) from error
        self._damaged.discard(iteration)
        self._last = path

    def _delete_old(self, iteration: int, best: int | None) -> None:
        # What cannot be deleted now is tried again with the next checkpoint.
        with contextlib.suppress(OSError):
            names = self._names()
            found = sorted(iterations.checkpoints(names))
            whole = [one for one in found if one not in self._damaged]
            later = [one for one in self._damaged if one > iteration]  # to be replaced when training gets there
            for old in set(found) - {*whole[-self._keep :], *later, iteration, best}:
                self._delete(names, old, "npz", "index", "data-00000-of-00001")
            self._delete(names, iteration, "index", "data-00000-of-00001")  # what the new one replaces

    def _delete(self, names: set[str], iteration: int, *suffixes: str) -> None:
        """Deletes files of a checkpoint; an index first, so that what is left of a bundle is never taken for one."""
        for suffix in suffixes:
            if (name := f"ckpt-{iteration}.{suffix}") in names:
                with contextlib.suppress(FileNotFoundError):
                    storage.remove(storage.join(self.directory, name))

    def _delete_leftovers(self) -> None:
        """Deletes what writes left that did not end, and nothing else."""
        names = self._names()
        for name in names:
            data = DATA_OF_A_BUNDLE.fullmatch(name)
            if LEFTOVER.fullmatch(name) or (data and f"{data[1]}.index" not in names):
                with contextlib.suppress(FileNotFoundError):
                    storage.remove(storage.join(self.directory, name))


def write_file(path: str, values: Mapping[str, np.ndarray], document: str) -> None:
    """Writes a checkpoint, whole or not at all."""
    with storage.replacing(path) as file:
        archives.write(file, values, document)


class Content(Protocol):
    """An open checkpoint. Whatever is damaged raises an error of one kind or another."""

    document: Any
    shapes: dict[str, tuple[int, ...]]

    def array(self, name: str) -> np.ndarray:
        """One array."""


def _archive(path: str, opened: ExitStack) -> Content:
    return archives.Archive(opened.enter_context(storage.open_file(path)))


def _bundle(path: str, opened: ExitStack) -> Content:
    try:
        from keras_resnet.training.tensorflow.bundles import Bundle
    except ImportError as error:
        raise RefusedError(
            f"{path} is of a version before 0.4, and TensorFlow alone reads it. The checkpoints that follow it need no "
            "TensorFlow. Install it to continue: pip install 'keras-residual[tensorflow]'"
        ) from error
    bundle = Bundle(path)
    if bundle.of_0_1:
        raise RefusedError(
            f"{path} is a checkpoint of version 0.1.0, which no later version can continue. Choose another `directory` "
            "to start anew"
        )
    return bundle


OPENERS: dict[str, Callable[[str, ExitStack], Content]] = {"npz": _archive, "index": _bundle}
"""How a checkpoint is opened, by the suffix of its path."""


def _read(path: str, difference: Difference) -> Saved:
    """Reads a checkpoint; its checksums are checked on the way."""
    with ExitStack() as opened:
        with _damage_noted():
            content = OPENERS[path.rpartition(".")[2]](path, opened)
        names = {variable_names.current(name): name for name in sorted(content.shapes)}
        if text := difference({name: content.shapes[saved] for name, saved in names.items()}):
            raise ValueError(f"{path} is a checkpoint of another network: {text}. Choose another `directory`")
        with _damage_noted():
            return Saved(path, {name: content.array(saved) for name, saved in names.items()}, content.document)


@contextlib.contextmanager
def _damage_noted() -> Iterator[None]:
    try:
        yield
    except (RefusedError, MemoryError):
        raise
    except Exception as error:  # bytes that anything may have happened to are parsed: most kinds of errors are possible
        raise DamageError(_reason(error)) from error


def _reason(error: Exception) -> str:
    """The first line of an error, without TensorFlow's names of operations."""
    message = (getattr(error, "message", None) or str(error) or type(error).__name__).partition("\n")[0]
    return re.sub(r"\{\{.*?\}\} | \[Op:\w+\]", "", message)
