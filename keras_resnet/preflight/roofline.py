"""The shortest time that a program can take on a chip, and what it is that does not allow less."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from keras_resnet.facts.tpus import Slice
from keras_resnet.preflight.program import Collective, Program

HOP = 1e-6
"""Seconds for a message to the next chip, about."""

OPERATIONS, MEMORY, INTERCONNECT = "operations", "memory traffic", "the interconnect"


@dataclass(frozen=True)
class Roofline:
    """Seconds that a device needs at least, for each thing that it needs time for."""

    operations: float
    """At the peak of bfloat16."""
    memory: float
    """At the bandwidth of the chip's memory."""
    collectives: float
    """At the bandwidth of the links between the chips, with the time of their hops."""
    scheduled: float | None = None
    """Sum of the cycles that the compiler expects, where the clock is known; without collectives."""

    @property
    def seconds(self) -> float:
        """The bound: operations and traffic at the same time, and collectives, which wait for them, after that."""
        return max(self.operations, self.memory) + self.collectives

    @property
    def expected(self) -> float:
        """The same with the compiler's cycles, where these are more."""
        return max(self.operations, self.memory, self.scheduled or 0.0) + self.collectives

    @property
    def limit(self) -> str:
        """What takes most of the time."""
        times = {OPERATIONS: self.operations, MEMORY: self.memory, INTERCONNECT: self.collectives}
        return max(times, key=times.__getitem__)


def roofline(program: Program, chips: Slice) -> Roofline:
    """The bound of a program on the chips of a slice.

    Args:
        program: Of one device.
        chips: The slice, over all of which the collectives go.
    """
    generation = chips.generation
    share = generation.devices_per_chip
    return Roofline(
        program.flops * program.passes / (generation.tflops * 1e12 / share),
        program.bytes / (generation.bandwidth * 1e9 / share),
        sum_seconds(program.collectives, chips),
        program.cycles / (generation.clock * 1e9) if generation.clock else None,
    )


def sum_seconds(collectives: Iterable[Collective], chips: Slice) -> float:
    """Seconds that collectives over all devices of a slice take, one after the other.

    A sum goes around a ring twice, first to add the parts and then to hand out the results, over all links of a chip at
    a time; the other kinds once. Each waits for messages to the farthest chip and back.
    """
    if chips.devices == 1:
        return 0.0
    rate = max(1, chips.link_count) * chips.generation.link_bandwidth * 1e9
    share = (chips.devices - 1) / chips.devices
    rounds = {"all-reduce": 2}
    return sum(
        rounds.get(each.kind, 1) * share * each.bytes / rate + 2 * each.count * chips.hops * HOP for each in collectives
    )
