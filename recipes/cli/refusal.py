"""What the commands share: a command line, and how they say in one line that they cannot do what was asked for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

INSTALL = "To install all that recipes need: pip install -e '.[recipes,conversion]'"


def refuse(error: object) -> NoReturn:
    """Ends the program with one error and exit status 2, before anything was changed."""
    print(f"error: {error}", file=sys.stderr)
    raise SystemExit(2)


class Parser(argparse.ArgumentParser):
    """A command line that is refused in one line as well, and described by the docstring of its program.

    Args:
        description: The docstring: its first line, then what `--help` shows below the flags.
    """

    def __init__(self, description: str):
        first, _, rest = description.partition("\n\n")
        form = argparse.RawDescriptionHelpFormatter
        super().__init__(description=first, epilog=rest, formatter_class=form, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Refuses what argparse cannot read."""
        refuse(f"{message}. --help shows the usage")

    def require_positive(self, options: argparse.Namespace, *names: str) -> None:
        """Refuses numbers below 1; None is let through."""
        for name in names:
            value = getattr(options, name)
            if value is not None and value < 1:
                self.error(f"--{name.replace('_', '-')} must be at least 1. Received: {value}")


def at_least_one(word: str) -> int:
    """A whole number from 1 on, for argparse."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, at least 1. Received: {word}")
    return int(word)


def answer(work: Callable[[argparse.Namespace], int], options: argparse.Namespace, install: str = INSTALL) -> int:
    """Does what a command line asks for; returns the exit status: 2 if it is refused, 130 after Ctrl-C.

    Args:
        work: Returns the exit status; a `ValueError` or an `OSError` of it refuses.
        options: What it takes.
        install: What to do where a package is missing; a sentence without its full stop.
    """
    try:
        return work(options)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        print(f"error: {error.name} is not installed. {install}", file=sys.stderr)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
    return 2
