"""Reading of the text of a compiled program: instructions, the arrays that they give, and what an array takes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

BITS = {"pred": 8, "token": 0, "opaque": 0}
"""Of an element, where the name of its type has no number."""
HBM = 0
"""The memory space of what is not kept in a core's own memory."""

ARRAY = re.compile(r"\b(?P<dtype>[a-z]+\d*\w*)\[(?P<sizes>[\d,]*)\](?:\{(?P<layout>[^{}]*)\})?")
INSTRUCTION = re.compile(r"\s*(?:ROOT )?%(?P<name>\S+) = (?P<result>.*?) (?P<opcode>[a-z][a-z0-9-]*)\((?P<rest>.*)")
TILE = re.compile(r"T\(([\d,*]+)\)")
SPACE = re.compile(r"S\((\d+)\)")


@dataclass(frozen=True)
class Array:
    """An array as the program lays it out.

    Args:
        dtype: As XLA calls it: `bf16`, `u8`, `pred`.
        sizes: Of its dimensions.
        minor_to_major: The dimensions, the one whose elements are neighbors first.
        tile: The least elements that the last of its dimensions in memory take, such as (8, 128); empty without tiles.
        space: Of the memory; 0 is the chip's, others a core's.
    """

    dtype: str
    sizes: tuple[int, ...]
    minor_to_major: tuple[int, ...] = ()
    tile: tuple[int, ...] = ()
    space: int = HBM

    @property
    def bits(self) -> int:
        """Of an element."""
        named = BITS.get(self.dtype)
        return named if named is not None else int(re.search(r"\d+", self.dtype).group())  # type: ignore[union-attr]

    @property
    def bytes(self) -> int:
        """Of its elements."""
        return math.prod(self.sizes) * self.bits // 8

    @property
    def padded_bytes(self) -> int:
        """What it takes in memory, with what fills up the tiles."""
        sizes = [self.sizes[dimension] for dimension in reversed(self.minor_to_major)]  # as they lie in memory
        sizes = [1] * (len(self.tile) - len(sizes)) + sizes
        first = len(sizes) - len(self.tile)
        whole = [-(-size // part) * part for size, part in zip(sizes[first:], self.tile, strict=True)]
        return math.prod(sizes[:first]) * math.prod(whole) * self.bits // 8

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.sizes))}]"


@dataclass(frozen=True)
class Instruction:
    """A line of a program."""

    name: str
    opcode: str
    result: str
    rest: str
    """The operands and attributes."""
    computation: str
    is_entry: bool

    @cached_property
    def arrays(self) -> tuple[Array, ...]:
        """What it gives; several in a tuple."""
        return tuple(arrays(self.result))

    @property
    def cycles(self) -> int:
        """What the compiler expects it to take; 0 where it says nothing."""
        found = re.search(r'"estimated_cycles":"(\d+)"', self.rest)
        return int(found[1]) if found else 0


def arrays(text: str) -> Iterator[Array]:
    """The arrays whose types are written in a text."""
    for found in ARRAY.finditer(text):
        sizes = tuple(int(size) for size in found["sizes"].split(",") if size)
        order, _, details = (found["layout"] or "").partition(":")
        minor_to_major = tuple(int(dimension) for dimension in order.split(",") if dimension)
        tile, space = TILE.search(details), SPACE.search(details)
        yield Array(
            found["dtype"],
            sizes,
            minor_to_major if len(minor_to_major) == len(sizes) else tuple(reversed(range(len(sizes)))),
            tuple(int(part) for part in tile[1].split(",") if part.isdigit()) if tile else (),
            int(space[1]) if space else HBM,
        )


def instructions(text: str) -> Iterator[Instruction]:
    """The instructions of all computations of a program, each once, however often a loop may run it."""
    computation, is_entry = "", False
    for line in text.splitlines():
        if line.endswith("{") and ("->" in line):
            head = line.removeprefix("ENTRY ")
            computation, is_entry = head.split(" ", 1)[0].lstrip("%"), head is not line
        elif found := INSTRUCTION.match(line):
            yield Instruction(found["name"], found["opcode"], found["result"], found["rest"], computation, is_entry)
