"""What a compiled program takes of a device: memory, operations, traffic, cycles, collectives, and padding."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from keras_resnet.preflight import hlo
from keras_resnet.preflight.hlo import Array, Instruction

COLLECTIVES = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
    "collective-broadcast",
    "ragged-all-to-all",
)
NO_DATA = ("get-tuple-element", "tuple", "bitcast", "constant", "copy-start", "copy-done", "after-all", "parameter")
"""Instructions that put nothing new into memory."""
SIX_PASSES = "operand_precision={highest"
"""What a product of float32 has that is computed as six of bfloat16."""
BODY = re.compile(r"\bbody=%([^\s,)]+)")
OPERAND = re.compile(r"%([^\s,)]+)")


@dataclass(frozen=True)
class Memory:
    """Bytes of a device."""

    arguments: int
    """Weights, the optimizer's variables, and images."""
    outputs: int
    shared: int
    """Of the outputs, what takes the place of an argument."""
    temporaries: int
    """Activations and gradients, mostly."""
    code: int

    @property
    def total(self) -> int:
        """At the most."""
        return self.arguments + self.outputs - self.shared + self.temporaries + self.code


@dataclass(frozen=True)
class Collective:
    """Collectives of one kind and type, together."""

    kind: str
    dtype: str
    count: int
    bytes: int
    """That each device brings."""
    asynchronous: bool
    looped: bool = False
    """Whether they are in the body of a loop, where they are counted once."""


@dataclass(frozen=True)
class Padding:
    """What fills up the tiles of (8, 128) elements or so in which a TPU keeps its arrays."""

    bytes: int
    """Of the elements."""
    padded_bytes: int
    worst: tuple[tuple[str, int, int], ...] = ()
    """(array, its bytes, what it takes), those first that waste most."""

    @property
    def factor(self) -> float:
        """Bytes in memory for each byte of an element."""
        return self.padded_bytes / self.bytes if self.bytes else 1.0


@dataclass(frozen=True)
class Program:
    """What one execution of a program takes of one device."""

    memory: Memory
    flops: float
    """Operations; a multiplication and an addition are two."""
    bytes: float
    """That are read from or written to the chip's memory."""
    cycles: int
    """Sum of what the compiler expects the operations to take."""
    collectives: tuple[Collective, ...] = ()
    held: Padding = field(default=Padding(0, 0))
    """Of the arguments."""
    made: Padding = field(default=Padding(0, 0))
    """Of what the operations put into the chip's memory."""
    passes: int = 1
    """Products of bfloat16 that most convolutions and matrix products take: 6 in float32."""

    def of_parts(self, parts: int) -> Program:
        """The program as it would be if compilers counted the rounds of a loop.

        Args:
            parts: Of an iteration, the first of which is followed by a loop over the others, counted as one of them.
        """
        if parts <= 2:
            return self
        times = parts / 2
        looped = (
            replace(each, count=each.count * (parts - 1), bytes=each.bytes * (parts - 1)) if each.looped else each
            for each in self.collectives
        )
        return replace(
            self,
            flops=self.flops * times,
            bytes=self.bytes * times,
            cycles=round(self.cycles * times),
            collectives=tuple(looped),
        )


def read(compiled: Any) -> Program:
    """The program of a `jax.stages.Compiled`."""
    memory = compiled.memory_analysis()
    return parsed(
        compiled.as_text(),
        Memory(
            memory.argument_size_in_bytes,
            memory.output_size_in_bytes,
            memory.alias_size_in_bytes,
            memory.temp_size_in_bytes,
            memory.generated_code_size_in_bytes,
        ),
        compiled.cost_analysis(),
    )


def parsed(text: str, memory: Memory, cost: Mapping[str, float]) -> Program:
    """The program of its text and of what the compiler says of it.

    Args:
        text: Of the optimized HLO.
        memory: From `memory_analysis`.
        cost: From `cost_analysis`.
    """
    lines = list(hlo.instructions(text))
    return Program(
        memory,
        flops=cost.get("flops", 0.0),
        bytes=cost.get("bytes accessed", 0.0),
        cycles=sum(line.cycles for line in lines),
        collectives=collectives(lines),
        held=padding(array for line in lines if line.is_entry and line.opcode == "parameter" for array in line.arrays),
        made=padding(array for line in lines if line.is_entry and line.opcode not in NO_DATA for array in line.arrays),
        passes=passes(lines),
    )


def collectives(lines: Iterable[Instruction]) -> tuple[Collective, ...]:
    """The collectives, by kind, type and place; the largest first."""
    counts: Counter[tuple[str, str, bool, bool]] = Counter()
    sizes: Counter[tuple[str, str, bool, bool]] = Counter()
    lines = list(lines)
    bodies = {found[1] for line in lines if line.opcode == "while" and (found := BODY.search(line.rest))}
    for line in lines:
        kind = line.opcode.removesuffix("-start")
        if kind not in COLLECTIVES:
            continue
        brought = list(hlo.arrays(line.result))
        if line.opcode != kind and len(brought) > 1:
            brought = brought[: len(brought) // 2]  # a start gives its operands as well
        key = (
            kind,
            "+".join(sorted({array.dtype for array in brought})),
            line.opcode != kind,
            line.computation in bodies,
        )
        counts[key] += 1
        sizes[key] += sum(array.bytes for array in brought)
    found = [Collective(*key[:2], counts[key], sizes[key], *key[2:]) for key in counts]
    return tuple(sorted(found, key=lambda each: -each.bytes))


def padding(arrays: Iterable[Array], worst: int = 3) -> Padding:
    """What fills up the tiles of arrays in the chip's memory."""
    sizes: Counter[str] = Counter()
    padded: Counter[str] = Counter()
    for array in arrays:
        if array.space == hlo.HBM:
            sizes[str(array)] += array.bytes
            padded[str(array)] += array.padded_bytes
    wasteful = sorted(
        (name for name in sizes if padded[name] > sizes[name]), key=lambda name: sizes[name] - padded[name]
    )
    return Padding(sizes.total(), padded.total(), tuple((name, sizes[name], padded[name]) for name in wasteful[:worst]))


def passes(lines: Iterable[Instruction]) -> int:
    """1, or 6 where most of the convolutions and matrix products are computed in float32.

    A product of bfloat16 is exact in one pass, whatever precision is asked for.
    """
    lines = list(lines)
    types = {(line.computation, line.name): line.result.partition("[")[0] for line in lines}
    products = [line for line in lines if line.opcode in ("convolution", "dot")]
    thorough = [
        line
        for line in products
        if SIX_PASSES in line.rest
        and any(types.get((line.computation, name)) == "f32" for name in OPERAND.findall(line.rest.partition(")")[0]))
    ]
    return 6 if len(thorough) * 2 > len(products) else 1
