"""The shortest time of a program on a chip."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keras_resnet.facts import tpus
from keras_resnet.preflight import roofline
from keras_resnet.preflight.program import Collective, Memory, Program
from keras_resnet.preflight.roofline import sum_seconds

V5E = tpus.slice_of("v5e:4x4")
NOTHING = Program(Memory(0, 0, 0, 0, 0), flops=0.0, bytes=0.0, cycles=0)


@pytest.mark.parametrize(
    ("program", "limit", "seconds"),
    [
        (replace(NOTHING, flops=197e12, bytes=1e9), roofline.OPERATIONS, 1.0),
        (replace(NOTHING, flops=197e12, bytes=1638e9), roofline.MEMORY, 2.0),
        (replace(NOTHING, flops=197e12, passes=6), roofline.OPERATIONS, 6.0),
    ],
)
def test_what_takes_longest_is_the_limit(program, limit, seconds):
    bound = roofline.roofline(program, V5E)
    assert bound.limit == limit
    assert bound.seconds == pytest.approx(seconds)


def test_the_schedule_counts_where_it_takes_longer_and_the_clock_is_known():
    program = replace(NOTHING, flops=197e12, cycles=3_000_000_000)
    assert roofline.roofline(program, V5E).expected == pytest.approx(2.0)
    assert roofline.roofline(replace(program, cycles=3), V5E).expected == pytest.approx(1.0)
    assert roofline.roofline(program, tpus.slice_of("v6e:4x4")).scheduled is None


def test_a_device_that_is_half_a_chip_has_half_of_its_peaks():
    chip, half = tpus.slice_of("v5p:2x2x1"), tpus.slice_of("tpu7x:2x2x1")
    program = replace(NOTHING, flops=1e12, bytes=1e9)
    assert roofline.roofline(program, chip).operations == pytest.approx(1 / 459)
    assert roofline.roofline(program, half).operations == pytest.approx(2 / 2307)
    assert roofline.roofline(program, half).memory == pytest.approx(2 / 7380)


def test_sums_cost_two_rounds_over_the_links():
    one = Collective("all-reduce", "f32", 1, 100_000_000, False)
    without_hops = 2 * (15 / 16) * 0.1 / (2 * 50)
    assert sum_seconds([one], V5E) == pytest.approx(without_hops + 2 * 6 * roofline.HOP)
    assert sum_seconds([replace(one, kind="all-gather")], V5E) == pytest.approx(without_hops / 2 + 12 * roofline.HOP)
    assert sum_seconds([one], tpus.slice_of("v5e:16x16")) < sum_seconds([one], V5E), "a torus has more links"
    assert sum_seconds([one], tpus.slice_of("v5e:1x1")) == 0.0


def test_many_small_sums_cost_their_hops():
    many = Collective("all-reduce", "f32", 100, 100 * 256, False)
    assert sum_seconds([many], V5E) == pytest.approx(100 * 12 * roofline.HOP, rel=0.01)


def test_the_interconnect_can_be_the_limit():
    program = replace(NOTHING, flops=1e9, collectives=(Collective("all-reduce", "f32", 1, 100_000_000, False),))
    assert roofline.roofline(program, V5E).limit == roofline.INTERCONNECT
