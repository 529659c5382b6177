"""The largest batch that fits is found with few compilations."""

from __future__ import annotations

import pytest

from keras_resnet.preflight.largest import MOST, candidates, largest_batch

GIB = 2**30


def search(per_image: float, fixed: float = 0.5 * GIB, allowed: float = 15.75 * GIB, known: dict | None = None):
    """The batch found, and those that were compiled; memory grows in steps, as tiles do."""
    compiled: list[int] = []

    def measure(batch: int) -> int | None:
        compiled.append(batch)
        needed = int(fixed + per_image * (-(-batch // 128) * 128 if batch > 128 else batch))
        return needed if needed <= allowed else None

    return largest_batch(measure, allowed, known), compiled


@pytest.mark.parametrize("per_image", [2e6, 17e6, 32e6, 37e6, 60e6, 130e6, 400e6, 1.2e9])
def test_it_is_the_largest_of_those_that_suit_a_tpu(per_image):
    found, compiled = search(per_image)
    fitting = [batch for batch in candidates() if 0.5 * GIB + per_image * batch <= 15.75 * GIB]
    assert found == fitting[-1]
    assert len(compiled) == len(set(compiled)) <= 6


def test_nothing_may_fit_and_everything_may():
    assert search(3e9)[0] is None
    assert search(1.0)[0] == MOST


def test_what_was_compiled_before_is_not_compiled_again():
    found, compiled = search(32e6, known={512: None, 256: int(0.5 * GIB + 256 * 32e6)})
    assert found == 384
    assert compiled == [384]


def test_memory_that_does_not_grow_is_no_reason_to_go_on_for_ever():
    compiled: list[int] = []

    def measure(batch: int) -> int | None:
        compiled.append(batch)
        return 100 if batch <= 200 else None

    assert largest_batch(measure, 1000.0) == 128
    assert len(compiled) < 20
