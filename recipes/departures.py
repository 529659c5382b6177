"""Print what differs from the paper, collected from the docstrings.

    python recipes/departures.py            the list
    python recipes/departures.py --write    puts it into docs/departures.md

A docstring states a departure under the heading "Differs from the paper:".
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from keras_resnet.reporting.departures import departures

PAGE = Path(__file__).parents[1] / "docs/departures.md"
BEGIN, END = "<!-- departures: python recipes/departures.py -->\n", "<!-- end of departures -->"


def listing() -> str:
    """The departures as a Markdown list."""
    return "".join(f"- {text} (`{place}`)\n" for place, text in departures())


def main(arguments: Sequence[str]) -> int:
    """Print the list, or write it into its page."""
    if arguments != ["--write"]:
        print(listing(), end="")
        return 0
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + listing() + END + after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
