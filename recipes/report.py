"""Make one page of HTML about any runs, finished or going on: curves, errors, what differs, and where they were made.

    python recipes/report.py RUN
    python recipes/report.py runs/* --output shortcuts.html --title "Shortcuts on CIFAR-10"
    python recipes/report.py RUN RUN --overwrite

RUN is the directory of a run; whatever else is among several is named and left out. The page is a single file: it needs
no connection, and may be sent to anybody.

Exit status: 0 written; 2 refused, and nothing was changed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from cli import command_line, program
from cli.options import OfOverwriting
from keras_resnet.host import files, outputs
from keras_resnet.host.texts import printable
from keras_resnet.reporting.html import document, reading


@dataclass(frozen=True, kw_only=True)
class Options(OfOverwriting):
    """Options of this program."""

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN …", help_behavior_hint="(one or more)")]
    """Directories of runs."""
    output: Path = Path("report.html")
    """The page."""
    title: str = "Training runs"
    """What stands above the page."""


SHOWN = 3
"""Paths that are no run, where there is no other."""
FLAGS = command_line.flags_by_argument(Options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes a page; returns the exit status."""
    return program.answer(write, command_line.read(Options, __doc__, arguments), flags=FLAGS)


def write(options: Options) -> int:
    """Writes a page.

    Raises:
        OSError: if a path is not there, or the page is there already or cannot be written.
        ValueError: if there is no run at all.
    """
    page = options.output
    outputs.check_file(page, overwrite=options.overwrite)
    runs, left_out = reading.read(options.runs)
    if not runs:
        more = [f"and {len(left_out) - SHOWN} more"] if len(left_out) > SHOWN else []
        raise ValueError("\n".join([*left_out[:SHOWN], *more]))
    for line in left_out:
        print(printable(f"left out: {line}"), file=sys.stderr)
    content = document.page(runs, options.title)
    files.write(page, content.encode(), outputs.remedy())
    print(page)
    return 0


if __name__ == "__main__":
    program.run(main)
