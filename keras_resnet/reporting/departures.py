"""What the docstrings of a package say differs from the paper."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

SECTION = re.compile(r"^Differs from the paper:\n((?:    .*\n?|\n)+)", re.MULTILINE)


def departures(package: Path = Path(__file__).parents[1]) -> Iterator[tuple[str, str]]:
    """(module and object, text of one line) of every departure, by module; read off the sources, not imported."""
    for file in sorted(package.rglob("*.py")):
        module = ".".join(file.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                doc = inspect.cleandoc(ast.get_docstring(node) or "") + "\n"
                for section in SECTION.findall(doc):
                    yield f"{module}.{node.name}" if hasattr(node, "name") else module, " ".join(section.split())
