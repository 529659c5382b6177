"""Pieces of batches that tell their number, for what makes batches ahead of time."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass

import numpy as np


class ForeignError(Exception):
    """An error that does not survive pickling."""

    def __init__(self, first: str, second: str):
        super().__init__(f"{first} and {second}")


def raise_damage() -> None:
    raise ValueError("3.jpg: damaged")


def raise_foreign() -> None:
    raise ForeignError("this", "that")


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def tell_modules() -> None:
    raise ValueError(" ".join(sorted(name for name, module in sys.modules.items() if module)))


AT_THREE = {"damage": raise_damage, "foreign": raise_foreign, "killed": kill, "modules": tell_modules}


@dataclass(frozen=True)
class Numbered:
    """Pieces of two images of 2x3 pixels; image and label are the number of the piece.

    Args:
        count: How many there are.
        at_three: What happens at number 3, a key of `AT_THREE`.
        seconds: That a piece takes.
        scales: Whether the images are a tuple of two, of which one is larger.
    """

    count: int
    at_three: str | None = None
    seconds: float = 0.0
    scales: bool = False

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[np.ndarray | tuple[np.ndarray, ...], np.ndarray]:
        if self.at_three and number == 3:
            AT_THREE[self.at_three]()
        time.sleep(self.seconds)
        images = np.full((2, 2, 3, 3), number % 256, np.uint8)
        return (images, np.full((2, 7, 5, 3), number % 256, np.uint8)) if self.scales else images, np.full(
            2, number, np.int32
        )
