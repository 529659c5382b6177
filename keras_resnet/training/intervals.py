"""When the training loop logs, validates and saves, and how many iterations it runs at once."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Intervals:
    """Iterations between two events of a kind; an event is due when the iterations done are a multiple."""

    log: int = 100
    validate: int = 1000
    checkpoint: int = 1000
    steps_per_execution: int = 50
    """The most iterations that run at once; an event ends them early."""
    seconds: float = 10.0
    """What they should last at most, as nothing interrupts them, neither Ctrl-C nor a scheduler."""

    def until_next(self, iteration: int, last_iteration: int, seconds: float = 0.0) -> int:
        """Iterations to run at once from here, with so many seconds for one: of infinitely many, one."""
        events = (every - iteration % every for every in (self.log, self.validate, self.checkpoint))
        fitting = 1 if math.isinf(seconds) else self.seconds / max(seconds, 1e-9)
        most = min(self.steps_per_execution, max(1, int(min(fitting, self.steps_per_execution))))
        return min(most, last_iteration - iteration, *events)
