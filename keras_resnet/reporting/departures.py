"""The departures from the paper that the docstrings of a package state."""

from __future__ import annotations

import ast
import functools
import inspect
import re
from pathlib import Path

SECTION = re.compile(r"^Differs from the paper:\n((?:    .*\n?|\n)+)", re.MULTILINE)


@functools.cache
def departures(package: Path = Path(__file__).parents[1]) -> tuple[tuple[str, str], ...]:
    """(module and object, text of one line) of every departure, by module; read off the sources, not imported."""
    found = []
    for file in sorted(package.rglob("*.py")):
        module = ".".join(file.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                doc = inspect.cleandoc(ast.get_docstring(node) or "") + "\n"
                for section in SECTION.findall(doc):
                    place = f"{module}.{node.name}" if hasattr(node, "name") else module
                    found.append((place, " ".join(section.split())))
    return tuple(found)
