"""Print what differs from the paper, collected from the docstrings.

    python recipes/departures.py            the list
    python recipes/departures.py --write    puts it into README.md

A docstring states a departure under the heading "Differs from the paper:".
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- departures: python recipes/departures.py -->\n", "<!-- end of departures -->"
SECTION = re.compile(r"^Differs from the paper:\n((?:    .*\n?|\n)+)", re.MULTILINE)


def departures(package: Path = ROOT / "keras_resnet") -> Iterator[tuple[str, str]]:
    """(module and object, text of one line) of every departure, by module."""
    for file in sorted(package.rglob("*.py")):
        module = ".".join(file.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                doc = inspect.cleandoc(ast.get_docstring(node) or "") + "\n"
                for section in SECTION.findall(doc):
                    yield f"{module}.{node.name}" if hasattr(node, "name") else module, " ".join(section.split())


def listing() -> str:
    """The departures as a Markdown list."""
    return "".join(f"- {text} (`{place}`)\n" for place, text in departures())


def main(arguments: Sequence[str]) -> int:
    """Print the list, or write it into the README."""
    if arguments != ["--write"]:
        print(listing(), end="")
        return 0
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(before + BEGIN + listing() + END + after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
