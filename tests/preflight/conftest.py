"""Fixtures: a flight of a training that was compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from keras_resnet.facts import tpus
from keras_resnet.preflight.program import Collective, Memory, Padding, Program
from keras_resnet.preflight.verdict import Flight

PROGRAM = Program(
    Memory(arguments=400 * 2**20, outputs=200 * 2**20, shared=199 * 2**20, temporaries=4 * 2**30, code=2**25),
    flops=128 * 24e9,
    bytes=128 * 370e6,
    cycles=100_000_000,
    collectives=(Collective("all-reduce", "f32", 1, 102_000_000, False),),
    held=Padding(300 * 2**20, 400 * 2**20, (("f32[7,7,3,64]", 37_632, 86_016),)),
    made=Padding(10**9, 10**9),
)


@pytest.fixture
def make_flight() -> Callable[..., Flight]:
    """A flight of ResNet-50, about; the arguments replace its fields, or those of its program."""

    def make(topology: str = "v5e:4x4", **changes) -> Flight:
        in_program = {name: changes.pop(name) for name in list(changes) if hasattr(PROGRAM, name)}
        fields = {
            "recipe": "imagenet-resnet50",
            "engine": "jax",
            "chips": tpus.slice_of(topology),
            "batch": 128,
            "accumulation": 1,
            "iterations": 600_000,
            "precision": "mixed_bfloat16",
            "training": replace(PROGRAM, **in_program),
            "host_speed": 100_000.0,
        }
        return Flight(**{**fields, **changes})

    return make
