"""The command `keras-resnet` of an installation: `keras-resnet train …` runs recipes/train.py as Python runs the file.

The programs are the same files in a checkout and in an installation, where they are the package `keras_resnet_recipes`.
"""

from __future__ import annotations

import ast
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[1]
NAME = "keras-resnet"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program that a command line names; returns its exit status."""
    sys.path.insert(0, str(FOLDER))
    match list(sys.argv[1:] if arguments is None else arguments):
        case []:
            print(usage(), file=sys.stderr)
            return 2
        case ["--help" | "-h", *_]:
            from cli import program

            program.run(lambda: print(usage()))
        case [name, *words]:
            known = programs()
            if name not in known:
                close = difflib.get_close_matches(name, known, 1)
                hint = f"Did you mean {close[0]!r}?" if close else f"{NAME} --help lists them"
                print(f"error: {name!r} is no program. {hint}", file=sys.stderr)
                return 2
            return run(known[name], words)
    raise AssertionError("every list of words is matched above")


def programs() -> dict[str, Path]:
    """The file of each program by its name."""
    return {file.stem: file for file in sorted(FOLDER.glob("*.py")) if not file.stem.startswith("_")}


def usage() -> str:
    """The programs with the first line of each docstring."""
    found = programs()
    width = max(map(len, found))
    lines = [f"  {name:{width}}  {first_line(file)}" for name, file in found.items()]
    return "\n".join(
        [f"usage: {NAME} PROGRAM …", "", *lines, "", f"{NAME} PROGRAM --help describes a program and its flags."]
    )


def first_line(file: Path) -> str:
    """The first line of the docstring of a program, which is not run."""
    return (ast.get_docstring(ast.parse(file.read_bytes())) or "").partition("\n")[0]


def run(file: Path, words: Sequence[str]) -> int:
    """Runs a file as `python FILE` would; returns its exit status.

    Unlike `runpy`, it leaves `sys.argv[0]` to say how the program was called. The module stays `__main__`, since
    processes that the program starts look for it there.
    """
    module = ModuleType("__main__")
    module.__file__ = str(file)
    sys.modules["__main__"] = module
    sys.argv = [f"{NAME} {file.stem}", *words]
    try:
        exec(compile(file.read_bytes(), file, "exec"), module.__dict__)
    except SystemExit as end:
        if isinstance(end.code, str):
            raise
        return end.code or 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
