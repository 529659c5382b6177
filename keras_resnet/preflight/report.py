"""A pre-flight as lines for a terminal, and as values for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from keras_resnet.facts.tpus import Slice
from keras_resnet.preflight.program import Memory, Padding, Program
from keras_resnet.preflight.roofline import roofline
from keras_resnet.preflight.verdict import Flight, verdict

SCHEMA = 1
"""Of the values; a change that a reader must know of raises it."""
LABEL = 14


def lines(flight: Flight) -> list[str]:
    """What was found, one matter a line, and the verdict."""
    chips, generation = flight.chips, flight.chips.generation
    hosts = f"{chips.hosts} host{'' if chips.hosts == 1 else 's'}"
    parts = f" in each of {flight.accumulation} parts of an iteration" if flight.accumulation > 1 else ""
    devices = "device" if generation.devices_per_chip > 1 else "chip"
    found = [
        f"{flight.recipe} on {chips.name}: {chips.chips} chips in {hosts}; {flight.batch} images a {devices}{parts}, "
        f"{flight.precision}, on the {flight.engine} backend",
        *_program("training", flight.training, flight, flight.batch * flight.accumulation),
    ]
    if flight.evaluation:
        found += _program("evaluation", flight.evaluation, flight, flight.batch)
    found.append("")
    if flight.largest is not None:
        total = flight.largest * chips.devices * flight.accumulation
        found.append(_line("largest batch", f"{flight.largest:,} images a {devices}, `global_batch_size`={total:,}"))
    if flight.baseline is not None:
        found.append(_line("baseline", _baseline(flight.training, flight.baseline, flight.batch * flight.accumulation)))
    found.append(_line("input", _input(flight)))
    found.append(_line("all of it", f"{flight.iterations:,} iterations in {_duration(flight.seconds)} of training"))
    return [*found, *(_line("verdict" if not k else "", text) for k, text in enumerate(verdict(flight)))]


def _program(name: str, program: Program, flight: Flight, images: int) -> list[str]:
    """The lines of a program of so many images of a device."""
    chips, bound = flight.chips, roofline(program, flight.chips)
    allowed = chips.generation.allowed_memory
    clock = chips.generation.clock
    return [
        "",
        f"{name}, for each device:",
        _line("memory", f"{_memory(program.memory)}; a device allows {allowed:g} GiB"),
        _line("an image", f"{program.flops / images / 1e9:.3g} GFLOP, {program.bytes / images / 1e6:.3g} MB"),
        _line(
            "time",
            f"{_ms(bound.operations)} of operations"
            + (f" ({program.passes} passes)" if program.passes > 1 else "")
            + f", {_ms(bound.memory)} of memory traffic, {_ms(bound.collectives)} of collectives",
        ),
        _line("", f"at least {_ms(bound.seconds)}, bound by {bound.limit}: {_speed(images / bound.seconds, flight)}"),
        _line(
            "schedule",
            f"{program.cycles / 1e6:.4g} million cycles"
            + (
                f" at {clock} GHz: {_speed(images / bound.expected, flight)}"
                if clock
                else "; the clock is not published"
            ),
        ),
        _line("collectives", _collectives(program, flight)),
        _line("padding", f"arguments {_padding(program.held)}; results in memory {_padding(program.made)}"),
    ]


def _baseline(ours: Program, other: Program, images: int) -> str:
    """What the other needs, and our share of it."""
    temporaries = ours.memory.temporaries / other.memory.temporaries
    return (
        f"keras.applications needs {other.bytes / images / 1e6:.3g} MB an image, {other.cycles / 1e6:.4g} million "
        f"cycles and {_size(other.memory.temporaries)} of temporaries; this is {ours.bytes / other.bytes:.2f}, "
        f"{ours.cycles / other.cycles:.2f} and {temporaries:.2f} of it"
    )


def _input(flight: Flight) -> str:
    if flight.data_set_bytes:
        return f"none: the devices hold the data set, {_size(flight.data_set_bytes)}"
    measured = "" if flight.host_speed is None else f"; {flight.host_speed:,.0f} were measured"
    return f"{flight.demand:,.0f} images/s for each host{measured}"


def _line(label: str, text: str) -> str:
    return f"  {label:{LABEL}}{text}"


def _speed(device: float, flight: Flight) -> str:
    """Images a second of a device, of a chip and of all."""
    chips = flight.chips
    return f"{device * chips.generation.devices_per_chip:,.0f} images/s a chip, {device * chips.devices:,.0f} in all"


def _memory(memory: Memory) -> str:
    parts = {"arguments": memory.arguments, "temporaries": memory.temporaries, "code": memory.code}
    return f"{_size(memory.total)} ({', '.join(f'{name} {_size(size)}' for name, size in parts.items())})"


def _size(size: int) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.3g} MiB"


def _collectives(program: Program, flight: Flight) -> str:
    if not flight.collective:
        return "left out: TensorFlow puts them in when it starts"
    if not program.collectives:
        return "none"
    each = [f"{one.count} {one.kind} of {one.dtype}, {_size(one.bytes)}" for one in program.collectives]
    return "; ".join(each)


def _padding(padding: Padding) -> str:
    wasted = padding.padded_bytes - padding.bytes
    if wasted < 2**20:
        return "below 1 MiB"
    name, size, padded = padding.worst[0]
    return f"{_size(wasted)} ({padding.factor:.2f} times), most in {name} ({padded / size:.2f} times)"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.3g} seconds"


def values(flight: Flight) -> dict[str, Any]:
    """Everything as values that JSON has. Bytes and seconds without prefix; of a device unless their names say more."""
    chips = flight.chips
    return {
        "schema": SCHEMA,
        "recipe": flight.recipe,
        "engine": flight.engine,
        "topology": chips.name,
        "chips": chips.chips,
        "devices": chips.devices,
        "hosts": chips.hosts,
        "generation": {key: value for key, value in asdict(chips.generation).items() if key != "others"},
        "precision": flight.precision,
        "images_per_device": flight.batch,
        "accumulation": flight.accumulation,
        "largest_images_per_device": flight.largest,
        "training": _values(flight.training, flight.batch * flight.accumulation, chips),
        "evaluation": flight.evaluation and _values(flight.evaluation, flight.batch, chips),
        "baseline": flight.baseline and _values(flight.baseline, flight.batch * flight.accumulation, chips),
        "data_set_bytes": flight.data_set_bytes,
        "host_images_per_second": {"needed": flight.demand, "measured": flight.host_speed},
        "training_seconds": flight.seconds,
        "verdict": verdict(flight),
    }


def _values(program: Program, images: int, chips: Slice) -> dict[str, Any]:
    """Of a program of so many images of a device."""
    bound, everywhere = roofline(program, chips), images * chips.devices
    return {
        **asdict(program),
        "memory": {**asdict(program.memory), "total": program.memory.total},
        "flops_per_image": program.flops / images,
        "bytes_per_image": program.bytes / images,
        "seconds": {**asdict(bound), "bound": bound.seconds, "expected": bound.expected},
        "limit": bound.limit,
        "images_per_second": {"bound": everywhere / bound.seconds, "expected": everywhere / bound.expected},
    }
