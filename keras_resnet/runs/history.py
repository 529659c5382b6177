"""The record of a training run, `history.csv`: one row for each time that the loop logs.

It holds nothing that depends on the hour or on speed, so that a run that was interrupted and resumed leaves the same
bytes as one that was not.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from keras_resnet.runs import directory


@dataclass(frozen=True)
class Row:
    """What was measured at an iteration; None stands for what was not, and for an empty cell in the file."""

    iteration: int
    """Iterations done."""
    learning_rate: float | None = None
    """Of the latest iteration."""
    loss: float | None = None
    """Mean over the iterations since the row before, on augmented images."""
    training_error: float | None = None
    """The same, in percent."""
    validation_loss: float | None = None
    validation_error: float | None = None
    """Percent."""

    def to_line(self) -> str:
        """The row as text. `repr` keeps every bit of a float."""
        iteration, *measured = astuple(self)
        return ",".join([str(int(iteration)), *("" if value is None else repr(float(value)) for value in measured)])

    @classmethod
    def from_line(cls, line: str) -> Row:
        """The row of a text.

        Raises:
            ValueError: if the text is no row.
        """
        cells = line.split(",")
        if len(cells) != len(fields(cls)):
            raise ValueError(f"a row must have {len(fields(cls))} cells. Received: {line!r}")
        iteration, *measured = cells
        return cls(int(iteration), *(float(cell) if cell else None for cell in measured))


HEADER = ",".join(field.name for field in fields(Row))


def read(path: str | os.PathLike[str]) -> list[Row]:
    """The rows of a file, in order; none if it does not exist.

    A last line without an end is left out: it is being written, or a crash has torn it. The file stays as it is.

    Raises:
        ValueError: if the file is damaged or something else, naming it and the line.
    """
    return _parse(Path(path), _text(Path(path)))


class History:
    """The writer of a file of rows, append-only, that survives a crash at any moment.

    A last line without an end, left by a crash, is dropped on opening.

    Args:
        path: The file, made if it does not exist. Its directory must exist.

    Raises:
        ValueError: if the file is something else; it is left as it is.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        text = _text(self.path)
        self._rows = _parse(self.path, text)
        if not text.endswith("\n"):
            self._rewrite()

    @staticmethod
    def has_rows(path: str | os.PathLike[str]) -> bool:
        """Whether there is a whole row below the header of a file, which need not exist and is left as it is."""
        return _text(Path(path)).count("\n") > 1

    def rows(self) -> list[Row]:
        """Every row, in order."""
        return list(self._rows)

    def append(self, row: Row) -> None:
        """Adds a row, and returns when it is on the disk.

        Raises:
            ValueError: if its iteration does not come after that of the last row.
            OSError: if it cannot be written; what there is of it is dropped on the next opening.
        """
        if self._rows and row.iteration <= self._rows[-1].iteration:
            raise ValueError(
                f"`iteration` must be above {self._rows[-1].iteration}, the last one in {self.path}. "
                f"Received: iteration={row.iteration}"
            )
        with directory.naming_file(self.path), self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(row.to_line() + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._rows.append(row)

    def replace(self, rows: list[Row]) -> None:
        """Makes the rows those of a checkpoint: what came after it is going to be written again."""
        if rows != self._rows:
            self._rows = list(rows)
            self._rewrite()

    def keep(self) -> Path | None:
        """Copies the rows to the first `history-N.csv` that is free, beside the file; `None` if there are none."""
        if not self._rows:
            return None
        numbered = (self.path.with_stem(f"{self.path.stem}-{number}") for number in itertools.count(1))
        copy = next(path for path in numbered if not path.exists())
        directory.write(copy, self.path.read_text(encoding="utf-8"))
        return copy

    def _rewrite(self) -> None:
        directory.write(self.path, "".join(line + "\n" for line in (HEADER, *(row.to_line() for row in self._rows))))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _parse(path: Path, text: str) -> list[Row]:
    """The rows of whole lines; `path` is for the errors."""
    *lines, torn = text.split("\n")
    header = lines[0] if lines else torn
    if header != HEADER and (lines or not HEADER.startswith(torn)):
        raise ValueError(f"{path} is damaged in line 1: it must be {HEADER}. Received: {header[:80]!r}")
    rows: list[Row] = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            rows.append(Row.from_line(line))
        except ValueError as error:
            raise ValueError(f"{path} is damaged in line {number}: {error}") from error
        if len(rows) > 1 and rows[-1].iteration <= rows[-2].iteration:
            raise ValueError(
                f"{path} is damaged in line {number}: its iteration must come after that of the line before"
            )
    return rows
