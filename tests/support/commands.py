"""Commands called in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def status(main: Callable[[Sequence[str]], int], *arguments: object) -> int:
    """The exit status of a command: what it returns, or what it leaves with where the command line is refused."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as left:
        return int(left.code or 0)
