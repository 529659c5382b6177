"""The directory of a run: what it holds, and the refusal to mix two experiments in one.

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
from keras_resnet.host import files

LABELS = ("name", "description")
"""The keys of a recipe that cannot change its result."""

Read = Callable[[Any], dict[str, Any]]
"""From the JSON values of a recipe to the part of it that may change its result."""

ELSEWHERE = "Choose another --run.directory"
"""The remedy that every refusal ends with."""

AGAIN = "Make room there or allow it, then start the same command again with --run.resume"
"""The remedy where a file cannot be written."""


@dataclass(frozen=True)
class RunDirectory:
    """A directory that holds one run of one recipe."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The recipe, which `recipes/train.py` replays."""
        return self.path / "recipe.json"

    @property
    def environment(self) -> Path:
        """A list with one entry for each start: command, commit, versions, devices."""
        return self.path / "environment.json"

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
        """What was measured at the end; its presence says that the run is finished."""
        return self.path / "result.json"

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.result.exists()

    def require_run(self) -> None:
        """Refuses a directory that holds no run.

        Raises:
            FileNotFoundError: saying so.
        """
        if not self.recipe.is_file():
            raise FileNotFoundError(f"{self.path} must be the directory of a run. It has no {self.recipe.name}")

    def require_finished(self) -> None:
        """Refuses a directory that holds no run that came to its end.

        Raises:
            FileNotFoundError: saying so, and how to finish it.
        """
        self.require_run()
        if not self.finished:
            raise FileNotFoundError(
                f"{self.path} must hold a finished run. To finish it: python recipes/train.py {self.path}"
            )

    def require_network(self) -> None:
        """Refuses a directory that holds no run that came to its end, or only what was recorded of one.

        Raises:
            FileNotFoundError: saying so, and what to do.
        """
        self.require_finished()
        if not self.model.is_file():
            raise FileNotFoundError(
                f"{self.path} must hold a run with its network. It has no {self.model.name}. To train it again: "
                f"python recipes/train.py {self.recipe}"
            )

    def check(
        self, recipe: str, *, resume: bool = False, accept_changes: bool = False, read: Read | None = None
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
            NotADirectoryError: if it is a file.
        """
        if self.path.exists() and not self.path.is_dir():
            raise NotADirectoryError(f"{self.path} is a file. {ELSEWHERE}")
        if not self.recipe.exists():
            self._check_vacant()
            return
        changes = self._changes(recipe, read or hyperparameters)
        if changes and not (accept_changes and not self.finished):
            listed = "\n  ".join(changes)
            remedy = (
                "It is finished" if self.finished else "--run.accept-changes continues it with this one all the same"
            )
            raise ValueError(f"{self.path} holds another recipe. {ELSEWHERE}. {remedy}. What differs:\n  {listed}")
        if not resume:
            state = "finished" if self.finished else "unfinished: add --run.resume to continue it"
            raise FileExistsError(f"{self.path} already holds this recipe, {state}. {ELSEWHERE}")

    def create(
        self,
        recipe: str,
        environment: dict[str, Any],
        *,
        resume: bool = False,
        accept_changes: bool = False,
        read: Read | None = None,
    ) -> None:
        """Writes the recipe and adds an entry to the environment, which lists the changes to an earlier recipe.

        Args:
            recipe: The recipe as JSON.
            environment: The entry; see the function of that name.
            resume: Whether a run of the same recipe may be continued.
            accept_changes: Whether a run of another recipe may be.
            read: As in `check`.

        Raises:
            ValueError, FileExistsError, NotADirectoryError: as `check` does.
        """
        self.check(recipe, resume=resume, accept_changes=accept_changes, read=read)
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.recipe.exists():
            write(self.recipe, recipe)  # first, as a directory of files without a recipe is nobody's run
        changes = self._changes(recipe, read or hyperparameters)
        if changes:
            environment = {**environment, "changes": changes}
        files.write(self.environment, files.as_json([*self.starts(), environment]), AGAIN)
        if changes:
            write(self.recipe, recipe)

    def starts(self) -> list[dict[str, Any]]:
        """The entries of the environment, one for each start."""
        starts = self._read(self.environment) if self.environment.exists() else []
        if not isinstance(starts, list) or not all(isinstance(start, dict) for start in starts):
            raise ValueError(f"{self.environment} is damaged: it must be a list of objects. {ELSEWHERE}")
        return starts

    def write_result(self, result: dict[str, Any]) -> None:
        """Keeps what was measured, and so marks the run as finished."""
        files.write(self.result, files.as_json(result), AGAIN)

    def read_result(self) -> dict[str, Any]:
        """What was measured.

        Raises:
            FileNotFoundError: if the run is not finished.
        """
        result = self._read(self.result)
        if not isinstance(result, dict):
            raise ValueError(f"{self.result} is damaged: it must be an object. {ELSEWHERE}")
        return result

    def _changes(self, recipe: str, read: Read) -> list[str]:
        """The differences from the recipe that is kept, if there is one."""
        if not self.recipe.exists():
            return []
        kept = self._read(self.recipe)
        try:
            return validation.differences(read(kept), read(json.loads(recipe)))
        except ValueError as error:
            raise ValueError(f"{self.recipe}: {error}. {ELSEWHERE}") from error

    def _check_vacant(self) -> None:
        # Hidden files, of a desktop or left by a crash before the recipe was written, are nobody's results.
        if self.path.is_dir() and any(not entry.name.startswith(".") for entry in self.path.iterdir()):
            raise ValueError(f"{self.path} has files but no recipe.json: it holds no run. {ELSEWHERE}")

    def _read(self, file: Path) -> Any:
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{file} is damaged: {error}. {ELSEWHERE}") from error


def hyperparameters(recipe: Any) -> dict[str, Any]:
    """The part of a recipe that may change its result."""
    if not isinstance(recipe, dict):
        return {}
    return {key: value for key, value in recipe.items() if key not in LABELS}


def write(file: Path, text: str) -> None:
    """Writes a file of a run wholly or not at all.

    Raises:
        OSError: naming the file.
    """
    files.write(file, text.encode(), AGAIN)


def naming_file(file: Path) -> AbstractContextManager[None]:
    """Makes an `OSError` of the block say which file of a run could not be written, and what to do."""
    return files.naming_file(file, AGAIN)
