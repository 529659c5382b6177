"""Print what differs from the paper, collected from the docstrings.

    python recipes/departures.py            the list
    python recipes/departures.py --write    puts it into docs/departures.md

A docstring states a departure under the heading "Differs from the paper:".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cli import command_line, program
from cli.options import Options as AnyOptions
from keras_resnet.reporting.departures import departures

PAGE = Path(__file__).parents[1] / "docs/departures.md"
BEGIN, END = "<!-- departures: python recipes/departures.py -->\n", "<!-- end of departures -->"


@dataclass(frozen=True, kw_only=True)
class Options(AnyOptions):
    """Options of this program."""

    write: bool = False
    """Put the list into README.md."""


def listing() -> str:
    """The departures as a Markdown list."""
    return "".join(f"- {text} (`{place}`)\n" for place, text in departures())


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the list, or writes it into its page; returns the exit status."""
    return program.answer(show, command_line.read(Options, __doc__, arguments), flags={})


def show(options: Options) -> int:
    """Prints or writes the list.

    Raises:
        OSError: if the page is not there.
    """
    if not options.write:
        print(listing(), end="")
        return 0
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + listing() + END + after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    program.run(main)
