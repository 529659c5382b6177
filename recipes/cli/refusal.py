"""Refusals in one line, with the flags of the arguments that an error of the library names."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from keras_resnet.host.texts import printable

CHECKOUT = Path(__file__).parents[2]
ARGUMENT = re.compile(r"`(?P<name>[a-z_][\w.]*)(=[^`]*)?`")
"""An argument in an error of the library, alone or with a value: `resume`, `resume=True`."""


def refuse(error: object, flags: Mapping[str, str] | None = None) -> NoReturn:
    """Ends the program with one error and exit status 2.

    Args:
        error: What is wrong.
        flags: The flags of the program by the arguments that they set.
    """
    show(error, flags)
    raise SystemExit(2)


def show(error: object, flags: Mapping[str, str] | None = None) -> None:
    """Prints an error on standard error."""
    print(f"error: {printable(with_flags(str(error), flags or {}))}", file=sys.stderr, flush=True)


def with_flags(message: str, flags: Mapping[str, str]) -> str:
    """A message with the flags of the arguments that it names, at the end of its first line.

    Where that line ends in a colon, they stand before the sentence that leads to the next lines.

    Args:
        message: An error of the library, which names arguments in backticks.
        flags: The flags of the program by argument. A name that is not there is left as it is.
    """
    named = dict.fromkeys(match["name"] for match in ARGUMENT.finditer(message))
    found = [flags[name] for name in named if name in flags and flags[name] not in message]
    if not found:
        return message
    first, newline, rest = message.partition("\n")
    head, stop, lead = first.rpartition(". ") if first.endswith(":") else (first, "", "")
    return f"{head} ({', '.join(dict.fromkeys(found))}){stop}{lead}{newline}{rest}"


def install(*extras: str) -> str:
    """How to install optional packages of the distribution."""
    what = f"[{','.join(extras)}]"
    target = f"-e '.{what}'" if (CHECKOUT / "setup.cfg").is_file() else f"'keras-residual{what}'"
    return f"To install all that this needs: pip install {target}"


def missing(error: ModuleNotFoundError, *extras: str) -> str:
    """The error of a package that is not installed."""
    return f"{error.name} is not installed. {install(*(extras or ('recipes',)))}"
