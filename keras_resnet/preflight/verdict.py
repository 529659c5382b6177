"""What follows from a pre-flight: whether it flies, what bounds it, and what to change."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from keras_resnet.facts.tpus import Slice
from keras_resnet.preflight.largest import LANES
from keras_resnet.preflight.program import Program
from keras_resnet.preflight.roofline import INTERCONNECT, Roofline, roofline

AMPLE = 1.2
"""Images that come in the time of one that is wanted, from which on nothing needs to be changed."""
HEAVY = 0.15
"""The share of the time in collectives from which on they are worth a word."""
WASTEFUL = 0.1
"""The share of padding in the memory traffic from which on it is worth a word."""


@dataclass(frozen=True)
class Flight:
    """A training on a slice, as it was compiled.

    Args:
        recipe: Its name.
        engine: The backend of Keras that made the program.
        chips: The slice.
        batch: Images of a device at a time.
        accumulation: Such batches in an iteration.
        iterations: Of the whole training.
        precision: Of the activations.
        training: The program of an iteration.
        evaluation: The program of a batch of the evaluation; None if it was not compiled.
        baseline: The program of an iteration of the network of `keras.applications`; None if it was not compiled.
        largest: Images of a device at a time that fit at the most; None if they were not searched.
        host_speed: Images a second that a host brings, as measured; None if that is not known.
        collective: Whether the program holds the collectives of all devices; otherwise it is that of a device alone.
        data_set_bytes: Of a data set that the devices hold, part of the program's; 0 if hosts read the images.
    """

    recipe: str
    engine: str
    chips: Slice
    batch: int
    accumulation: int
    iterations: int
    precision: str
    training: Program
    evaluation: Program | None = None
    baseline: Program | None = None
    largest: int | None = None
    host_speed: float | None = None
    collective: bool = True
    data_set_bytes: int = 0

    @property
    def bound(self) -> Roofline:
        """Of an iteration."""
        return roofline(self.training, self.chips)

    @property
    def images(self) -> int:
        """Of all devices in an iteration."""
        return self.batch * self.accumulation * self.chips.devices

    @property
    def speed(self) -> float:
        """Images a second of all devices, at the most."""
        return self.images / self.bound.seconds

    @property
    def expected_speed(self) -> float:
        """The same by the compiler's cycles, where these are more."""
        return self.images / self.bound.expected

    @property
    def demand(self) -> float:
        """Images a second that each host must be fed."""
        return self.expected_speed / self.chips.hosts

    @property
    def seconds(self) -> float:
        """Of the iterations of the whole training."""
        return self.iterations * self.bound.expected

    @property
    def memory_share(self) -> float:
        """Of what a program may use of a device."""
        return self.training.memory.total / (self.chips.generation.allowed_memory * 2**30)


def verdict(flight: Flight) -> list[str]:
    """Lines: that it flies and what bounds it, then what to change, the most important first."""
    bound, chips = flight.bound, flight.chips
    first = (
        f"it compiles and fits, with {100 * flight.memory_share:.0f}% of the memory. What bounds it is {bound.limit}: "
        f"{flight.expected_speed:,.0f} images/s on {_count(chips.chips, 'chip')}"
    )
    advice = [line for advise in ADVICE if (line := advise(flight))]
    return [first, *(advice or ["nothing to change"])]


def _feed(flight: Flight) -> str | None:
    speed, demand, hosts = flight.host_speed, flight.demand, flight.chips.hosts
    if flight.data_set_bytes:
        return None
    if speed is None:
        return (
            f"{'the host' if hosts == 1 else f'each of {hosts} hosts'} must bring {demand:,.0f} images/s: measure one "
            "there with recipes/benchmark.py input, and give the speed of the whole input as `host_images_per_second`"
        )
    if speed >= AMPLE * demand:
        return None
    times = math.ceil(10 * AMPLE * demand / speed) / 10
    waits = f", and the chips wait {100 * (1 - speed / demand):.0f}% of the time" if speed < demand else ""
    return (
        f"input-bound: a host brings {speed:,.0f} images/s and must bring {demand:,.0f}{waits}. Give each "
        f"{times:g} times the cores, or keep decoded images in memory (`cache`='decoded'), or take fewer chips"
    )


def _precision(flight: Flight) -> str | None:
    if flight.training.passes == 1:
        return None
    return (
        f"products of float32 take {flight.training.passes} passes of bfloat16: `precision`='mixed_bfloat16' computes "
        "them in one, with half the traffic"
    )


def _lanes(flight: Flight) -> str | None:
    factor = -(-flight.batch // 8) * 8 / flight.batch
    if factor == 1:
        return None
    return (
        f"{flight.batch} images a device are no multiple of 8, the rows of a tile: choose a `global_batch_size` of "
        f"{8 * flight.chips.devices * flight.accumulation:,} or a multiple of it"
    )


def _small_batch(flight: Flight) -> str | None:
    if flight.batch >= LANES or (flight.largest or LANES) <= flight.batch:
        return None
    fills = LANES * flight.chips.devices * flight.accumulation
    return (
        f"{flight.batch} images a device do not fill the {LANES} lanes of a tile: a `global_batch_size` of {fills:,} "
        "would, with a learning rate to match, and so would fewer chips"
    )


def _collectives(flight: Flight) -> str | None:
    bound = flight.bound
    share = bound.collectives / bound.expected
    if share < HEAVY:
        return None
    count = sum(each.count for each in flight.training.collectives)
    many = ", which are many: statistics over several devices (`normalization_batch_size`) take some in each layer"
    return (
        f"{count:,} collectives take {100 * share:.0f}% of the time{many if count > 20 else ''}. More images a device "
        "between two of them, or fewer chips, make that less"
        + (f", and so does `accumulation`={2 * flight.accumulation}" if bound.limit == INTERCONNECT else "")
    )


def _accumulation(flight: Flight) -> str | None:
    parts, largest = flight.accumulation, flight.largest
    if parts == 1 or largest is None or largest < 2 * flight.batch:
        return None
    fewer = next(each for each in range(1, parts + 1) if parts % each == 0 and flight.batch * parts // each <= largest)
    return f"`accumulation`={parts} is more than the memory asks for: {fewer} fits, too"


def _padding(flight: Flight) -> str | None:
    made = flight.training.made
    wasted = made.padded_bytes - made.bytes
    if wasted < WASTEFUL * flight.training.bytes:
        return None
    return (
        f"padding makes what the operations write {made.factor:.1f} times as large: layers of few channels do not fill "
        f"the tiles of a TPU, which suit networks whose channels are multiples of {LANES}"
    )


ADVICE: tuple[Callable[[Flight], str | None], ...] = (
    _feed,
    _precision,
    _lanes,
    _small_batch,
    _collectives,
    _accumulation,
    _padding,
)
"""From a flight to what to change, or None; the most important first."""


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
