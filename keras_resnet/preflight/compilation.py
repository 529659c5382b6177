"""Compilation of a lowered program for a slice, and what the compiler says where its memory is too small."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from keras_resnet.preflight import program, topologies
from keras_resnet.preflight.program import Program

if TYPE_CHECKING:
    from jax.stages import Lowered

EXHAUSTED = "RESOURCE_EXHAUSTED"
SIZES = (
    re.compile(r"\((?P<needed>[\d.]+)(?P<unit>[KMGT]?)\) exceeds available HBM \((?P<allowed>[\d.]+)(?P<of>[KMGT]?)\)"),
    re.compile(r"[Uu]sed (?P<needed>[\d.]+)(?P<unit>[KMGT]?) of (?P<allowed>[\d.]+)(?P<of>[KMGT]?) hbm"),
)
"""The two ways in which the compiler of TPUs says how much it needs."""
GIB = {"": 2.0**-30, "K": 2.0**-20, "M": 2.0**-10, "G": 1.0, "T": 2.0**10}


class DoesNotFitError(ValueError):
    """A program that needs more memory than a device has.

    Args:
        message: Of the compiler.

    Attributes:
        needed: GiB; None if the compiler does not say. Of the part that it has found too large.
        allowed: GiB of a device; None if the compiler does not say.
    """

    def __init__(self, message: str):
        self.needed, self.allowed = sizes(message)
        known = self.needed is not None and self.allowed is not None
        much = f"{self.needed:.2f} GiB of the {self.allowed:.2f} GiB of a device" if known else "more than a device has"
        super().__init__(f"it needs {much}")


def sizes(message: str) -> tuple[float | None, float | None]:
    """GiB that are needed and GiB that there are, from an error of the compiler."""
    for pattern in SIZES:
        if found := pattern.search(message):
            return float(found["needed"]) * GIB[found["unit"]], float(found["allowed"]) * GIB[found["of"]]
    return None, None


def compiled(lower: Callable[[], Lowered]) -> Program:
    """The program that a function lowers, compiled.

    Raises:
        DoesNotFitError: if it does not fit the memory of a device.
        ValueError: if the compiler fails for another reason.
    """
    import jax

    lowered = lower()
    with topologies.quiet():
        try:
            return program.read(lowered.compile())
        except jax.errors.JaxRuntimeError as error:
            if EXHAUSTED in str(error):
                raise DoesNotFitError(str(error)) from error
            said = topologies.first_line(error)
            raise ValueError(
                f"libtpu {topologies.version()} cannot compile this. It says: {said}. Choose another slice, another "
                "batch, or another version of libtpu"
            ) from error
