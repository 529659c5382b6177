"""Search of the largest batch that fits, by as few compilations as can be."""

from __future__ import annotations

from collections.abc import Callable

LANES = 128
"""Images that fill a row of a TPU's tiles."""
MOST = 1 << 15
"""Images of a device beyond which nobody looks."""

Measure = Callable[[int], int | None]
"""From the images of a device to the bytes that its program takes; None if it does not fit."""


def largest_batch(measure: Measure, allowed: float, known: dict[int, int | None] | None = None) -> int | None:
    """The largest batch that fits, of those that suit a TPU: multiples of 128, or of 8 below that.

    Memory grows with the batch in proportion, nearly; so the next guess is where the line through the last two batches
    that fit meets what is allowed, and bisection takes over where the guess is wrong.

    Args:
        measure: Compiles.
        allowed: Bytes of a device.
        known: What was measured before.

    Returns:
        Images of a device; None if not even 8 fit.
    """
    fits: dict[int, int] = {}
    fails = {MOST + LANES}
    for batch, needed in (known or {}).items():
        (fails.add(batch) if needed is None else fits.update({batch: needed}))
    while True:
        low, high = max(fits, default=0), min(fails)
        between = [batch for batch in candidates() if low < batch < high]
        if not between:
            return low or None
        guess = _guess(fits, allowed, between)
        needed = measure(guess)
        (fails.add(guess) if needed is None else fits.update({guess: needed}))


def candidates() -> list[int]:
    """The batches that suit a TPU."""
    return [*range(8, LANES, 8), *range(LANES, MOST + 1, LANES)]


def _guess(fits: dict[int, int], allowed: float, between: list[int]) -> int:
    """One of the batches between the largest that fits and the smallest that does not."""
    middle = between[len(between) // 2]
    if not fits:
        return LANES if LANES in between else middle
    second, first = ([0, 0, *sorted(fits)])[-2:]
    slope = (fits[first] - fits.get(second, 0)) / (first - second)
    if slope <= 0:
        return middle
    meets = first + (allowed - fits[first]) / slope
    below = [batch for batch in between if batch <= meets]
    # At the ends there is little to be learned from a guess: its neighbor is what settles the matter.
    return below[-1] if below else between[0]
