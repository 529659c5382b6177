"""Write the page about a trained network: what it is, how good, what made it, and how to use it.

    python recipes/model_card.py RUN

RUN is the directory of a finished run. A training writes RUN/model_card.md by itself; this writes it again, with the
results of evaluations since then, and for runs of earlier versions.

Exit status: 0 written; 2 refused, and nothing was changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from cli import command_line, program
from cli.options import Options as AnyOptions
from keras_resnet.reporting import model_card
from keras_resnet.runs.directory import RunDirectory


@dataclass(frozen=True, kw_only=True)
class Options(AnyOptions):
    """Options of this program."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """The directory of a finished run."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the page of a run; returns the exit status."""
    return program.answer(write, command_line.read(Options, __doc__, arguments), flags={})


def write(options: Options) -> int:
    """Writes the page.

    Raises:
        FileNotFoundError: if there is no finished run.
    """
    directory = RunDirectory(options.run)
    directory.require_finished()
    print(model_card.write(directory, directory.read_result()))
    return 0


if __name__ == "__main__":
    program.run(main)
