"""The generations of TPUs as facts, and the slices that their names mean.

Peaks, memory and links are those of Google's documentation: docs.cloud.google.com/tpu/docs/v4, …/v5e, …/v5p, …/v6e and
…/tpu7x. The memory that a program may use is what the compiler of libtpu 0.0.52 allows, which keeps a part for itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NoReturn

from keras_resnet import validation

Shape = tuple[int, ...]

FLAT = ((1, 1), (2, 2), (2, 4), (4, 4), (4, 8), (8, 8), (8, 16), (16, 16))
"""Slices of the generations whose chips lie in a plane."""
SMALL_CUBOIDS = ((2, 2, 1), (2, 2, 2), (2, 2, 4), (2, 4, 4))
"""Slices of the other generations that are smaller than a cube of 4x4x4; larger ones are made of such cubes."""
CUBE = 4


@dataclass(frozen=True)
class Generation:
    """A generation of TPUs; what is not said to be a device's is a chip's."""

    name: str
    """As libtpu spells it."""
    flat: bool
    """Whether the chips lie in a plane, a 2D torus, or in space, a 3D torus."""
    tflops: float
    """Peak of bfloat16 products, 10^12 operations a second."""
    memory: float
    """GiB."""
    allowed_memory: float
    """GiB that a program may use on a device."""
    bandwidth: float
    """Of the memory, 10^9 bytes a second."""
    link_bandwidth: float
    """Of the link to one neighbor, in one direction, 10^9 bytes a second."""
    chips_per_pod: int
    counts: Literal["chips", "cores"]
    """What the number in an accelerator type such as v4-8 counts; a chip whose cores are counted has two."""
    others: tuple[str, ...]
    """What else the generation is called, in lower case."""
    devices_per_chip: int = 1
    clock: float | None = None
    """Of a core, in GHz, where it is published."""
    configuration: str = "default"
    """What libtpu calls the chips whose cores work as one device."""

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The slices of few chips, each by its chips along the axes."""
        return FLAT if self.flat else (*SMALL_CUBOIDS, (CUBE, CUBE, CUBE), (CUBE, CUBE, 2 * CUBE))

    def has(self, shape: Shape) -> bool:
        """Whether there is a slice of a shape."""
        cubes = not self.flat and len(shape) == 3 and all(side and side % CUBE == 0 for side in shape)
        return shape in self.shapes or (cubes and math.prod(shape) <= self.chips_per_pod)

    def wraps(self, side: int) -> bool:
        """Whether the last chip along an axis is linked to the first."""
        return side == 16 if self.flat else side % CUBE == 0


GENERATIONS: dict[str, Generation] = {
    generation.name: generation
    for generation in (
        Generation(
            "v4",
            flat=False,
            tflops=275,
            memory=32,
            allowed_memory=30.75,
            bandwidth=1200,
            link_bandwidth=50,
            chips_per_pod=4096,
            counts="cores",
            others=("tpu v4", "tpu-v4-podslice"),
            clock=1.05,
            configuration="megacore",
        ),
        Generation(
            "v5e",
            flat=True,
            tflops=197,
            memory=16,
            allowed_memory=15.75,
            bandwidth=819,
            link_bandwidth=50,
            chips_per_pod=256,
            counts="chips",
            others=("tpu v5e", "tpu v5 lite", "v5litepod", "v5lite", "v5 lite", "tpu-v5-lite-podslice"),
            clock=1.5,
        ),
        Generation(
            "v5p",
            flat=False,
            tflops=459,
            memory=95,
            allowed_memory=95.73,
            bandwidth=2765,
            link_bandwidth=100,
            chips_per_pod=8960,
            counts="cores",
            others=("tpu v5p", "tpu-v5p-slice"),
            clock=1.75,
        ),
        Generation(
            "v6e",
            flat=True,
            tflops=918,
            memory=32,
            allowed_memory=31.24,
            bandwidth=1600,
            link_bandwidth=100,
            chips_per_pod=256,
            counts="chips",
            others=("tpu v6e", "tpu v6 lite", "v6", "v6lite", "trillium", "tpu-v6e-slice"),
        ),
        Generation(
            "tpu7x",
            flat=False,
            tflops=2307,
            memory=192,
            allowed_memory=94.74,
            bandwidth=7380,
            link_bandwidth=100,
            chips_per_pod=9216,
            counts="cores",
            others=("v7x", "v7", "7x", "tpu v7x", "ironwood", "tpu7"),
            devices_per_chip=2,
        ),
    )
}
"""By their names."""

NAME = re.compile(r"(?P<generation>[a-z].*?)[-:=_](?P<shape>\d+(x\d+)+)")
COUNTED = re.compile(r"(?P<generation>[a-z].*?)[-:=_](?P<count>\d+)")


@dataclass(frozen=True)
class Slice:
    """Chips that are linked, and the hosts that they are in.

    Args:
        generation: Of the chips.
        shape: Chips along each axis.
        host: Chips of a host along each axis.
    """

    generation: Generation
    shape: Shape
    host: Shape = field(default=(2, 2))

    @property
    def name(self) -> str:
        """As libtpu and this package spell it: `v5e:4x4`."""
        return spelled(self.generation, self.shape)

    @property
    def chips(self) -> int:
        """Of all hosts."""
        return math.prod(self.shape)

    @property
    def devices(self) -> int:
        """Of all hosts; what JAX counts."""
        return self.chips * self.generation.devices_per_chip

    @property
    def hosts(self) -> int:
        """One for a slice of fewer chips than a host has."""
        return max(1, self.chips // math.prod(self.host))

    @property
    def link_count(self) -> int:
        """Links of a chip over which a sum over all chips can go at the same time, in one direction each.

        Two along an axis whose ends are linked. Along any other axis a ring runs there and back over the same links.
        """
        return sum(2 if self.generation.wraps(side) and side > 2 else 1 for side in self.shape if side > 1)

    @property
    def hops(self) -> int:
        """Steps of a message from one chip to the chip farthest away."""
        return sum(side // 2 if self.generation.wraps(side) else side - 1 for side in self.shape)


def slice_of(topology: str, *, chips_per_host: int | None = None) -> Slice:
    """The slice that a name means.

    Args:
        topology: A generation and the chips along the axes, `v5e:4x4`, or an accelerator type, `v5litepod-16`, `v4-8`.
        chips_per_host: 4, or 8 where a host of v5e or v6e may have them. Defaults to 8 for an accelerator type of 8
            such chips, which is one host, and to 4 otherwise.

    Raises:
        ValueError: saying which names there are.
    """
    text = topology.strip().lower()
    if found := NAME.fullmatch(text):
        generation = _generation(found["generation"], topology)
        shape = _shape(generation, tuple(map(int, found["shape"].split("x"))), topology)
        default = 4
    elif found := COUNTED.fullmatch(text):
        generation = _generation(found["generation"], topology)
        shape = _shape_of_count(generation, int(found["count"]), topology)
        default = 8 if generation.flat and math.prod(shape) == 8 else 4
    elif text in GENERATIONS or any(text in generation.others for generation in GENERATIONS.values()):
        generation = _generation(text, topology)
        _refuse(topology, f"the name of a slice with its chips, such as {_list(_names(generation))}")
    else:
        _refuse(topology, f"the name of a slice, such as {_list(EXAMPLES)}")
    return Slice(generation, shape, _host(generation, shape, chips_per_host or default))


def spelled(generation: Generation, shape: Iterable[int]) -> str:
    """The name of a slice: `v5e:4x4`."""
    return f"{generation.name}:{'x'.join(map(str, shape))}"


def _names(generation: Generation) -> list[str]:
    return [spelled(generation, shape) for shape in generation.shapes]


def _list(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}"


EXAMPLES = tuple(spelled(generation, generation.shapes[3]) for generation in GENERATIONS.values())


def _refuse(topology: str, rule: str, hint: str = "") -> NoReturn:
    validation.refuse("topology", rule, topology, hint)


def _generation(word: str, topology: str) -> Generation:
    """The generation of a word, in lower case.

    Raises:
        ValueError: naming those that there are.
    """
    for generation in GENERATIONS.values():
        if word in (generation.name, *generation.others):
            return generation
    hint = "Did you mean 'v5e' or 'v5p'?" if word in ("v5", "tpu v5") else validation.nearest(word, GENERATIONS)
    _refuse(topology, f"a slice of {_list(GENERATIONS)}, such as {_list(EXAMPLES)}", hint)


def _shape(generation: Generation, shape: Shape, topology: str) -> Shape:
    """The shape with as many axes as the generation has, which may have been left out where there is one chip.

    Raises:
        ValueError: naming shapes that there are.
    """
    axes = 2 if generation.flat else 3
    full = (*shape, 1) if len(shape) < axes else shape[:axes] if set(shape[axes:]) == {1} else shape
    if generation.has(full):
        return full
    ordered = tuple(sorted(full)) if generation.flat else (*sorted(full[:2]), *full[2:])
    hints = (ordered, tuple(sorted(full)))
    hint = next((f"Did you mean {spelled(generation, other)}?" for other in hints if generation.has(other)), "")
    most = f"{generation.chips_per_pod:,} chips at the most"
    more = "" if generation.flat else f", or other multiples of {CUBE} chips along each axis, {most}"
    _refuse(topology, f"one of {', '.join(_names(generation))}{more}", hint)


def _shape_of_count(generation: Generation, count: int, topology: str) -> Shape:
    """The shape of an accelerator type.

    Raises:
        ValueError: if it leaves several shapes, or none.
    """
    chips = count // 2 if generation.counts == "cores" else count
    whole = generation.counts == "chips" or count % 2 == 0
    found = next((shape for shape in generation.shapes if whole and math.prod(shape) == chips), None)
    if found:
        return found
    counted = "chips" if generation.counts == "chips" else f"cores, of which a chip of {generation.name} has two"
    numbers = [math.prod(shape) * (2 if generation.counts == "cores" else 1) for shape in generation.shapes]
    types = ", ".join(f"{generation.name}-{number}" for number in numbers)
    more = "" if generation.flat else f". A larger slice has a shape, such as {generation.name}:8x8x8"
    _refuse(topology, f"one of {types}: the number is that of {counted}", more.removeprefix(". "))


def _host(generation: Generation, shape: Shape, chips: int) -> Shape:
    """The chips of a host along each axis.

    Raises:
        ValueError: if a host has another number of them, or if the slice cannot be divided into such hosts.
    """
    hosts = {4: (2, 2), 8: (2, 4)} if generation.flat else {4: (2, 2, 1)}
    host = hosts.get(chips)
    if host is None:
        validation.refuse("chips_per_host", f"one of {', '.join(map(str, hosts))} for {generation.name}", chips)
    if math.prod(shape) <= 4:
        return shape
    if any(side % part for side, part in zip(shape, host, strict=True)):
        validation.refuse("chips_per_host", f"a divisor of {spelled(generation, shape)}", chips)
    return host
