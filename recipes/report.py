"""Make one page of HTML about any runs, finished or going on: curves, errors, what differs, and where they were made.

    python recipes/report.py RUN
    python recipes/report.py runs/* --output shortcuts.html --title "Shortcuts on CIFAR-10"
    python recipes/report.py RUN RUN --overwrite

RUN is the directory of a run. The page is a single file: it needs no connection, and may be sent to anybody.

Exit status: 0 written; 2 refused, and nothing was changed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import refusal
from keras_resnet.host import files
from keras_resnet.reporting.html import document, reading

REMEDY = "Choose another --output"


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes a page; returns the exit status."""
    parser = refusal.Parser(__doc__)
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="directory of a run")
    parser.add_argument("--output", type=Path, default=Path("report.html"), help="the page (default: %(default)s)")
    parser.add_argument("--title", default="Training runs", help="above the page (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace a page that is there")
    return refusal.answer(write, parser.parse_args(arguments))


def write(options: argparse.Namespace) -> int:
    """Writes a page.

    Raises:
        OSError: if a run is not there, or the page is there already or cannot be written.
        ValueError: if a file of a run is damaged.
    """
    page = options.output
    if page.is_dir():
        raise IsADirectoryError(f"{page} is a directory. {REMEDY}")
    if page.exists() and not options.overwrite:
        raise FileExistsError(f"{page} is there already. {REMEDY}, or replace it with --overwrite")
    content = document.page(reading.read(options.runs), options.title)
    files.write(page, content.encode(), REMEDY)
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
