"""What the names of slices mean, and which are refused with the right one."""

from __future__ import annotations

import math
import re

import pytest

from keras_resnet.facts import tpus

UNDERSTOOD = {
    "v5e:4x4": "v5e:4x4",
    "v5litepod-16": "v5e:4x4",
    "v5e-16": "v5e:4x4",
    "V5E:4X4": "v5e:4x4",
    "v5e:4x4x1": "v5e:4x4",
    "TPU v5 lite:4x4": "v5e:4x4",
    "tpu-v5-lite-podslice:4x4": "v5e:4x4",
    "v6e-8": "v6e:2x4",
    "v6e=2x4": "v6e:2x4",
    "trillium:16x16": "v6e:16x16",
    "v4-8": "v4:2x2x1",
    "v4-16": "v4:2x2x2",
    "v5p-8": "v5p:2x2x1",
    "v5p:2x2": "v5p:2x2x1",
    "v5p-128": "v5p:4x4x4",
    "v5p:8x8x12": "v5p:8x8x12",
    "v7x-8": "tpu7x:2x2x1",
    "ironwood:2x2x1": "tpu7x:2x2x1",
}

REFUSED = {
    "v5e": "with its chips, such as v5e:1x1",
    "v5:2x2": "Did you mean 'v5e' or 'v5p'?",
    "v8e:2x2": "Did you mean 'v5e'?",
    "h100:8": "a slice of v4, v5e, v5p, v6e or tpu7x",
    "nonsense": "the name of a slice, such as v4:2x4x4",
    "": "the name of a slice",
    "v5e:4x2": "Did you mean v5e:2x4?",
    "v5e:3x3": "one of v5e:1x1, v5e:2x2",
    "v5e:0x4": "one of v5e:1x1, v5e:2x2",
    "v5e-12": "one of v5e-1, v5e-4, v5e-8",
    "v5p-4": "cores, of which a chip of v5p has two",
    "v5p-7": "cores, of which a chip of v5p has two",
    "v4-4096": "A larger slice has a shape",
    "v5p:3x4x4": "or other multiples of 4 chips along each axis",
    "v4:64x64x64": "or other multiples of 4 chips along each axis, 4,096 chips at the most",
}


@pytest.mark.parametrize("typed", UNDERSTOOD)
def test_names_that_people_type_are_understood(typed):
    assert tpus.slice_of(typed).name == UNDERSTOOD[typed]


@pytest.mark.parametrize("typed", REFUSED)
def test_other_names_are_refused_with_what_there_is(typed):
    with pytest.raises(ValueError, match=re.escape(REFUSED[typed])) as refusal:
        tpus.slice_of(typed)
    assert str(refusal.value).startswith("`topology` must be ")
    assert f"topology={typed!r}" in str(refusal.value)


def test_every_slice_of_the_table_is_made_of_whole_hosts():
    for generation in tpus.GENERATIONS.values():
        for shape in generation.shapes:
            chips = tpus.slice_of(tpus.spelled(generation, shape))
            assert chips.hosts * math.prod(chips.host) == chips.chips == math.prod(shape)
            assert chips.devices == chips.chips * generation.devices_per_chip


@pytest.mark.parametrize(
    ("name", "chips_per_host", "hosts"),
    [("v5e:2x4", None, 2), ("v5e:2x4", 8, 1), ("v6e-8", None, 1), ("v5litepod-8", 4, 2), ("v5e:1x1", None, 1)],
)
def test_a_host_has_four_chips_or_eight(name, chips_per_host, hosts):
    assert tpus.slice_of(name, chips_per_host=chips_per_host).hosts == hosts


@pytest.mark.parametrize(("name", "chips"), [("v5e:4x4", 3), ("v5p:2x2x1", 8)])
def test_other_hosts_are_refused(name, chips):
    with pytest.raises(ValueError, match="`chips_per_host` must be one of 4"):
        tpus.slice_of(name, chips_per_host=chips)


def test_sums_go_over_the_links_that_a_slice_has():
    """A torus has two for each axis, a mesh one; the axis of two chips has one."""
    links = {"v5e:1x1": 0, "v5e:2x2": 2, "v5e:4x4": 2, "v5e:8x16": 3, "v5e:16x16": 4, "v5p:2x2x1": 2, "v5p:4x4x4": 6}
    assert {name: tpus.slice_of(name).link_count for name in links} == links
    hops = {"v5e:2x2": 2, "v5e:4x4": 6, "v5e:16x16": 16, "v4:4x4x4": 6}
    assert {name: tpus.slice_of(name).hops for name in hops} == hops
