"""Starting and ending a program."""

from __future__ import annotations

import io
import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import Any, NoReturn, TypeVar

from cli import backends, refusal, sources
from keras_resnet.host import signals

LAUNCHER = "keras-resnet"
"""The command of an installation; the launcher leaves `keras-resnet NAME` in `sys.argv[0]`."""
AGAIN, INTERRUPTED = signals.STATUSES[SIGTERM], signals.STATUSES[SIGINT]
"""Exit statuses of a program that was stopped: the same command starts it again; Ctrl-C."""
CLOSED_PIPE = 141
"""Exit status of a program whose output nobody reads any more, as in `… | head`; what a shell makes of SIGPIPE."""

Options = TypeVar("Options")


def run(main: Callable[[], int]) -> NoReturn:
    """Ends this process with the exit status of a program; and with the program that started it, if one of ours did."""
    signals.follow_parent()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that is no UTF-8, or a terminal of few characters
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            status: Any = main()
        except SystemExit as end:
            status = end.code
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer goes nowhere, so that Python does not complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = CLOSED_PIPE
    sys.exit(status)


def answer(
    work: Callable[[Options], int],
    options: Options,
    *,
    flags: Mapping[str, str],
    extras: tuple[str, ...] = ("recipes", "conversion"),
) -> int:
    """Does what a command line asks for; returns the exit status: 2 if it is refused, 130 after Ctrl-C.

    Args:
        work: Returns the exit status; a `ValueError` or an `OSError` of it refuses.
        options: What it takes.
        flags: The flags of the program by the arguments that they set.
        extras: What to install where a package is missing.
    """
    try:
        backends.check(backends.program_of(work))
        sources.check(options)
        return work(options)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return INTERRUPTED
    except ModuleNotFoundError as error:
        refusal.show(refusal.missing(error, *extras))
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        refusal.show(error, {"resume": command("train", "DIR"), **flags})
    return 2


def invocation() -> str:
    """What was typed to start this program, without its arguments."""
    return sys.argv[0] if launched() else f"python {sys.argv[0]}"


def launched() -> bool:
    """Whether the command of an installation started this program."""
    return sys.argv[0].startswith(f"{LAUNCHER} ")


def command(name: str, *words: str) -> str:
    """The command that starts another program in the way in which this one was started."""
    this = Path(sys.argv[0])
    start = [LAUNCHER, name] if launched() else ["python", str(this.with_name(f"{name}.py"))]
    return shlex.join([*start, *words])


def as_typed(text: str) -> str:
    """A docstring with the commands as this installation has them."""
    return re.sub(r"(python )?recipes/(\w+)\.py", rf"{LAUNCHER} \2", text) if launched() else text
