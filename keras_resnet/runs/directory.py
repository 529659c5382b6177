"""The directory of a run: the places of its files, and the refusal to mix two experiments in one.

A recipe is plain JSON text here, so that any program can keep its runs this way.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnet import validation
from keras_resnet.host import files, outputs
from keras_resnet.runs import data_identity, results
from keras_resnet.runs.results import Values

Read = Callable[[Any], dict[str, Any]]
"""From the JSON values of a recipe to the part of it that may change its result."""

ELSEWHERE = "Choose another `directory`"
"""The remedy that every refusal ends with."""

AGAIN = "Make room there or allow it, then continue with `resume=True`"
"""The remedy where a file cannot be written."""


@dataclass(frozen=True)
class RunDirectory:
    """A directory that holds one run of one recipe."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The recipe, from which the run can be repeated."""
        return self.path / "recipe.json"

    @property
    def environment(self) -> Path:
        """A list with one entry for each start: command, commit, versions, devices."""
        return self.path / "environment.json"

    @property
    def data(self) -> Path:
        """The identity of the images; a run of an earlier version has none."""
        return self.path / "data.json"

    @property
    def history(self) -> Path:
        """Learning rate, loss and errors by iteration."""
        return self.path / "history.csv"

    @property
    def checkpoints(self) -> Path:
        """The directory of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def logs(self) -> Path:
        """The directory that TensorBoard reads."""
        return self.path / "logs"

    @property
    def model(self) -> Path:
        """The trained network."""
        return self.path / "model.keras"

    @property
    def curve(self) -> Path:
        """The errors over the iterations, drawn."""
        return self.path / "curve.png"

    @property
    def result(self) -> Path:
        """The result at the end; a run that has it is finished."""
        return self.path / "result.json"

    @property
    def evaluation(self) -> Path:
        """The directory of later evaluations."""
        return self.path / "evaluation"

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.result.exists()

    @property
    def has_files(self) -> bool:
        """Whether there is any of the files by which a run is known."""
        return any(file.is_file() for file in (self.recipe, self.environment, self.history, self.result))

    def require_run(self) -> None:
        """Refuses a directory that holds no run.

        Raises:
            FileNotFoundError: naming the file that it lacks.
        """
        if not self.recipe.is_file():
            hint = f". Runs are below it, such as {below}" if (below := self.first_below()) else ""
            raise FileNotFoundError(f"{self.path} must be the directory of a run. It has no {self.recipe.name}{hint}")

    def first_below(self) -> Path | None:
        """The first run in a directory that is none itself: of runs, or of a search, which has its runs in `trials`."""
        found = (sorted(self.path.glob(f"{folder}*/{self.recipe.name}")) for folder in ("", "trials/"))
        return next((files[0].parent for files in found if files), None)

    def require_finished(self) -> None:
        """Refuses a directory that holds no finished run.

        Raises:
            FileNotFoundError: naming the file that it lacks, and how to finish the run.
        """
        self.require_run()
        if not self.finished:
            raise FileNotFoundError(
                f"{self.path} must hold a finished run. It has no {self.result.name}. "
                "Finish its training with `resume=True`"
            )

    def require_network(self) -> None:
        """Refuses a directory that holds no finished run, or only the record of one.

        Raises:
            FileNotFoundError: naming the file that it lacks, and what to do.
        """
        self.require_finished()
        if not self.model.is_file():
            raise FileNotFoundError(
                f"{self.path} must hold a run with its network. It has no {self.model.name}. "
                f"Train {self.recipe} again, in another `directory`"
            )

    def check(
        self,
        recipe: str,
        *,
        resume: bool = False,
        accept_changes: bool = False,
        read: Read = validation.hyperparameters,
    ) -> None:
        """Refuses a directory that this recipe may not be run in; changes nothing.

        Args:
            recipe: The recipe as JSON.
            resume: Whether a run of the same recipe may be continued.
            accept_changes: Whether a run of another recipe may be, unless it is finished.
            read: From the JSON values of a recipe to its hyperparameters, where earlier versions wrote them otherwise.

        Raises:
            ValueError: if the directory holds another recipe, or files of something else.
            FileExistsError: if it holds this recipe, and `resume` is false.
            NotADirectoryError: if it is a file, or below one.
            PermissionError: if it may not be written to, and is not finished.
        """
        if not self.finished:
            outputs.check_directory(self.path, "directory")
        if not self.recipe.exists():
            self._check_vacant()
            return
        changes = self._changes(recipe, read)
        if changes and not (accept_changes and not self.finished):
            listed = "\n  ".join(changes)
            remedy = (
                "It is finished" if self.finished else "`accept_changes=True` continues it with this one all the same"
            )
            raise ValueError(f"{self.path} holds another recipe. {ELSEWHERE}. {remedy}. What differs:\n  {listed}")
        if not resume:
            state = "finished" if self.finished else "unfinished: continue it with `resume=True`"
            raise FileExistsError(f"{self.path} already holds this recipe, {state}. {ELSEWHERE}")

    def check_data(self, identity: Values, *, accept_changes: bool = False) -> None:
        """Refuses to continue with other images than those of the run; changes nothing.

        Args:
            identity: Of the images, as `data_identity.IDENTITY` rules.
            accept_changes: Whether others may be taken.

        Raises:
            ValueError: if the images are others.
        """
        refuse_other_images(str(self.path), self._data_changes(identity), accept_changes)

    def create(
        self,
        recipe: str,
        environment: dict[str, Any],
        *,
        data: Values | None = None,
        resume: bool = False,
        accept_changes: bool = False,
        read: Read = validation.hyperparameters,
    ) -> None:
        """Writes the recipe and adds an entry to the environment, which lists the changes to an earlier recipe.

        Args:
            recipe: The recipe as JSON.
            environment: The entry; see the function of that name.
            data: The identity of the images, which is kept beside the recipe; see `check_data`.
            resume: Whether a run of the same recipe may be continued.
            accept_changes: Whether a run of another recipe may be.
            read: As in `check`.

        Raises:
            ValueError, FileExistsError, NotADirectoryError: as `check` does.
        """
        self.check(recipe, resume=resume, accept_changes=accept_changes, read=read)
        if data:
            self.check_data(data, accept_changes=accept_changes)
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.recipe.exists():
            write(self.recipe, recipe)  # first, as a directory of files without a recipe is nobody's run
        changes, of_data = self._changes(recipe, read), self._data_changes(data)
        if changes or of_data:
            environment = {**environment, "changes": [*changes, *of_data]}
        files.write(self.environment, files.as_json([*self.starts(), environment]), AGAIN)
        if changes:
            write(self.recipe, recipe)
        if data and (of_data or not self.data.exists()):
            results.write(self.data, data, data_identity.IDENTITY, AGAIN)

    def starts(self) -> list[Values]:
        """The entries of the environment, one for each start; none where it was not kept.

        Raises:
            ValueError: if the file is damaged.
        """
        return results.read_starts(self.environment) if self.environment.exists() else []

    def evaluations(self) -> list[tuple[Path, Values]]:
        """(file, what it holds) of everything that was measured later, in the order of the names.

        Raises:
            ValueError: if a file is damaged.
        """
        return [
            (file, results.read(file, results.EVALUATION)) for file in sorted(self.evaluation.glob("result-*.json"))
        ]

    def write_result(self, result: Values) -> None:
        """Keeps what was measured, and so marks the run as finished.

        Args:
            result: As `results.RUN` wants it.

        Raises:
            ValueError: if it is something else.
            OSError: if it cannot be written.
        """
        results.write(self.result, result, results.RUN, AGAIN)

    def read_result(self) -> Values:
        """What was measured, with the keys of `results.RUN`.

        Raises:
            FileNotFoundError: if the run is not finished.
            ValueError: if the file is damaged.
        """
        return results.read(self.result, results.RUN)

    def _changes(self, recipe: str, read: Read) -> list[str]:
        """The differences from the recipe that is kept, if there is one."""
        if not self.recipe.exists():
            return []
        kept = results.read_json(self.recipe)
        try:
            return validation.differences(read(kept), read(json.loads(recipe)))
        except ValueError as error:
            raise ValueError(f"{self.recipe}: {error}. {ELSEWHERE}") from error

    def _data_changes(self, identity: Values | None) -> list[str]:
        """The differences from the images that are kept, if there are any."""
        if identity is None or not self.data.exists():
            return []
        return data_identity.differences(results.read(self.data, data_identity.IDENTITY), identity)

    def _check_vacant(self) -> None:
        # Hidden files, of a desktop or left by a crash before the recipe was written, are nobody's results.
        if self.path.is_dir() and any(not entry.name.startswith(".") for entry in self.path.iterdir()):
            raise ValueError(f"{self.path} has files but no recipe.json: it holds no run. {ELSEWHERE}")


def refuse_other_images(what: str, changes: list[str], accept_changes: bool) -> None:
    """Refuses to continue with images that differ, unless that is accepted.

    Args:
        what: That was trained on the others.
        changes: Between the images, a line each.
        accept_changes: Whether they may.

    Raises:
        ValueError: if there are changes that are not accepted.
    """
    if changes and not accept_changes:
        listed = "\n  ".join(changes)
        raise ValueError(
            f"{what} was trained on other images. Choose another `directory` or the `data_directory` of before. "
            f"`accept_changes=True` continues it with these all the same. What differs:\n  {listed}"
        )


def write(file: Path, text: str) -> None:
    """Writes a file of a run wholly or not at all.

    Raises:
        OSError: naming the file.
    """
    files.write(file, text.encode(), AGAIN)


def naming_file(file: Path) -> AbstractContextManager[None]:
    """Makes an `OSError` of the block say which file of a run could not be written, and what to do."""
    return files.naming_file(file, AGAIN)
