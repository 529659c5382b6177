"""Write the page about a trained network: what it is, how good, what made it, and how to use it.

    python recipes/model_card.py RUN

RUN is the directory of a finished run. A training writes RUN/model_card.md by itself; this writes it again, with the
results of evaluations since then, and for runs of earlier versions.

Exit status: 0 written; 2 refused, and nothing was changed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import refusal
from keras_resnet.reporting import model_card
from keras_resnet.runs.directory import RunDirectory


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the page of a run; returns the exit status."""
    parser = refusal.Parser(__doc__)
    parser.add_argument("run", metavar="RUN", type=Path, help="directory of a finished run")
    return refusal.answer(write, parser.parse_args(arguments))


def write(options: argparse.Namespace) -> int:
    """Writes the page.

    Raises:
        FileNotFoundError: if there is no finished run.
    """
    directory = RunDirectory(options.run)
    directory.require_finished()
    print(model_card.write(directory, directory.read_result()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
