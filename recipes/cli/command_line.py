"""From the words of a command line to a dataclass, by tyro and without TensorFlow.

A value that the rules below cannot read reaches the dataclass as it was typed, so that it is refused there in the words
that a JSON file or a notebook would meet. A flag that is given twice is refused here, since tyro would take the last of
its values, and what tyro refuses is said in one line.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from cli import program, refusal, suggestions
from keras_resnet import validation

try:
    import tyro
    from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo
except ModuleNotFoundError as error:
    refusal.refuse(refusal.missing(error))

Kind = TypeVar("Kind")

POSITIONAL = get_args(tyro.conf.Positional[int])[1]
HELP = {"--help", "-h"}
LETTER = re.compile("-[A-Za-z]")
"""A flag as other programs have it; ours have words, but for -h."""


@dataclass(frozen=True)
class Flag:
    """A flag of a program.

    Args:
        argument: The field that it sets, such as `model.shortcut`.
        spelling: `--model.shortcut`.
        hint: The type of the field.
    """

    argument: str
    spelling: str
    hint: Any

    @property
    def spellings(self) -> tuple[str, ...]:
        """All that sets the field: for True or False, also `--model.no-remat`."""
        if self.hint is not bool:
            return (self.spelling,)
        section, dot, name = self.spelling.removeprefix("--").rpartition(".")
        return (self.spelling, f"--{section}{dot}no-{name}")

    @property
    def needs_value(self) -> bool:
        """Whether a word must follow; none need follow where there may be several."""
        return self.hint is not bool and get_origin(self.hint) is not tuple


def read(kind: type[Kind], doc: str, arguments: Sequence[str] | None = None) -> Kind:
    """The options that a command line asks for.

    Args:
        kind: A frozen dataclass; its fields are the flags, and their docstrings the help.
        doc: The docstring of the program: its first line, then what `--help` shows below the flags.
        arguments: The words. Defaults to those of this process.

    Raises:
        SystemExit: 2 with an error on stderr if anything is refused; 0 after `--help`.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    first, _, rest = program.as_typed(doc.strip()).partition("\n\n")
    try:
        return parse(kind, words, program=program.invocation(), description=first, epilog=rest)
    except ValueError as error:
        refusal.refuse(error, flags_by_argument(kind, words))


def parse(
    kind: type[Kind],
    words: Sequence[str],
    *,
    program: str,
    description: str,
    epilog: str = "",
    default: Kind | None = None,
) -> Kind:
    """A dataclass from words.

    Args:
        kind: Of the dataclass.
        words: What follows the command.
        program: The command, for the help.
        description: What the help shows above the flags.
        epilog: What it shows below.
        default: The values of flags that are not given.

    Raises:
        ValueError: saying what is wrong, in one line.
        SystemExit: 0 after `--help`.
    """
    if HELP & set(words):
        words = ["--help"]  # tyro leaves out of its help what was given before
    check(kind, words)
    more = {} if default is None else {"default": default}
    stderr = io.StringIO()
    try:
        with contextlib.redirect_stderr(stderr):
            return tyro.cli(kind, prog=program, description=description, args=list(words), registry=spelling(), **more)
    except SystemExit as end:
        if end.code:
            raise refused_by_dataclass(end) or refused_by_tyro(stderr.getvalue()) from None
        if epilog:
            print(f"\n{epilog}")
        raise


def check(kind: type, words: Sequence[str]) -> None:
    """Refuses flags that there are not, that are given twice, or that lack their value.

    Raises:
        ValueError: saying which.
    """
    known = {name: flag for flag in flags(kind) for name in flag.spellings}
    seen: set[str] = set()
    for typed, values in by_flag(words):
        name = typed.replace("_", "-")
        if name in HELP:
            continue
        if name not in known:
            raise ValueError(f"There is no {typed}. {suggestions.instead(typed, known, positionals(kind))}")
        flag = known[name]
        if flag.argument in seen:
            raise ValueError(f"{flag.spelling} must be given once. Received: twice")
        seen.add(flag.argument)
        if flag.needs_value and not values:
            raise ValueError(f"{typed} needs a value")


def given(kind: type, words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The words of each flag that is given, with the flag, by the argument that it sets."""
    known = {name: flag.argument for flag in flags(kind) for name in flag.spellings}
    return {known[typed.replace("_", "-")]: (typed, *values) for typed, values in by_flag(words)}


def by_flag(words: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """(flag, the words after it up to the next flag) of each flag, as it was typed."""
    found: list[tuple[str, list[str]]] = []
    for word in words:
        if word == "--":
            break
        if word.startswith("--") or LETTER.fullmatch(word):
            name, equals, value = word.partition("=")
            found.append((name, [value] if equals else []))
        elif found:
            found[-1][1].append(word)
    return iter(found)


def flags(kind: type, section: str = "") -> list[Flag]:
    """The flags of a dataclass, and of those in its fields."""
    found = []
    for name, hint in get_type_hints(kind, include_extras=True).items():
        base, metadata = (hint.__origin__, hint.__metadata__) if get_origin(hint) is Annotated else (hint, ())
        if POSITIONAL in metadata:
            continue
        if is_dataclass(base):
            found += flags(base, f"{section}{name}.")
            continue
        called = next((item.name for item in metadata if getattr(item, "name", None)), name)
        found.append(Flag(section + name, f"--{section}{called}".replace("_", "-"), base))
    return found


def positionals(kind: type) -> dict[str, str]:
    """What the help calls the arguments that have no flag, by their names, in order."""
    found = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        metadata = getattr(hint, "__metadata__", ())
        if POSITIONAL in metadata:
            found[name] = next((item.metavar for item in metadata if getattr(item, "metavar", None)), name.upper())
    return found


def flags_by_argument(kind: type, words: Sequence[str] = ()) -> dict[str, str]:
    """The flags of a dataclass by the names of the arguments that they set: `shortcut` and `model.shortcut`.

    Args:
        kind: Of the dataclass.
        words: A command line. A name that several sections have means the one that is given there; otherwise it is only
            there with its section.
    """
    typed = {name.replace("_", "-") for name, _ in by_flag(words)}
    found: dict[str, list[Flag]] = {}
    for flag in flags(kind):
        found.setdefault(flag.argument.rpartition(".")[2], []).append(flag)
    found |= {flag.argument: [flag] for flag in flags(kind)}
    given = {name: [flag for flag in meant if typed & set(flag.spellings)] for name, meant in found.items()}
    chosen = {name: {flag.spelling for flag in given[name] or meant} for name, meant in found.items()}
    return {name: spellings.pop() for name, spellings in chosen.items() if len(spellings) == 1}


def refused_by_dataclass(end: BaseException) -> ValueError | None:
    """The error of a dataclass that tyro made of the words; tyro breaks its message into lines of a box."""
    cause = end.__context__
    while cause is not None and type(cause) is not ValueError:
        cause = cause.__context__
    return cause


def refused_by_tyro(box: str) -> ValueError:
    """What tyro says first in a box, in one line; of options that are missing, only the names.

    The box is drawn with lines, or with spaces and hyphens where the terminal has no others.
    """
    lines = [line[2:].rstrip("│ ") for line in box.splitlines()]
    rules = [number for number, line in enumerate(lines) if not line.strip("─-╭╮╰╯")]
    start = 2 if 1 in rules else 1  # below the title
    text = lines[start : next((number for number in rules if number > start), None)]
    if "Required options" in box.partition("\n")[0]:
        names = [line.strip() for line in text if re.match(r" {4}\S", line)]
        return ValueError(f"what must be given is missing: {', '.join(names)}. --help shows the usage")
    return ValueError(f"{' '.join(' '.join(text).split()).rstrip('.')}. --help shows the usage")


def spelling() -> ConstructorRegistry:
    """How the words of a command line become values."""
    registry = ConstructorRegistry()

    @registry.primitive_rule
    def rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
        if info.type in (int, float):
            return lenient(info.type, info.type.__name__.upper())
        words = (True, False, None) if info.type == bool | None else validation.choices(info.type)
        if words is None:
            return None
        return lenient({str(word): word for word in words}.__getitem__, "{" + ",".join(map(str, words)) + "}")

    return registry


def lenient(convert: Callable[[str], object], metavar: str) -> PrimitiveConstructorSpec[Any]:
    """A rule that converts one word if it can, and otherwise leaves it to the dataclass to refuse."""

    def instance_from_str(words: list[str]) -> object:
        try:
            return convert(words[0])
        except (KeyError, ValueError):
            return words[0]

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=instance_from_str,
        is_instance=lambda _: True,
        str_from_instance=lambda value: [str(value)],
    )
