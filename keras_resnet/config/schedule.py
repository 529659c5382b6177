"""The learning rate over the iterations, as values that check themselves."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

from keras_resnet import validation
from keras_resnet.config.checked import Checked

ScheduleName = Literal["steps", "plateau", "error-gate", "cosine", "polynomial"]


@dataclass(frozen=True)
class ScheduleConfig(Checked):
    """The learning rate, and everything that is counted in iterations."""

    name: ScheduleName = "steps"
    """Drops at the boundaries, at a plateau of the validation error, after an error gate (ResNet-110); or down to 0 by
    a cosine or a polynomial."""
    learning_rate: float = 0.1
    """Before the first drop."""
    iterations: int = 64_000
    """When to stop."""
    boundaries: tuple[int, ...] = (32_000, 48_000)
    """The iterations at which the learning rate drops; read by steps and error-gate."""
    factor: float = 0.1
    """The factor of a drop of the learning rate."""
    warmup_iterations: int = 0
    """Iterations over which the learning rate grows linearly to where the schedule has got by then."""
    warmup_learning_rate: float = 0.0
    """The first learning rate of the warm-up; below learning_rate."""
    gate_learning_rate: float = 0.01
    """error-gate: the learning rate until the training error is below gate_error."""
    gate_error: float = 80.0
    """error-gate: training error in percent."""
    patience: int = 5
    """plateau: validations without improvement before a drop."""
    power: float = 2.0
    """polynomial: of the share of iterations that is left; 1 is a straight line."""
    scale: float = 1.0
    """Multiplies iterations, boundaries and warmup_iterations: 0.125 turns 64k/32k/48k into 8k/4k/6k. As a flag that
    shortens a recipe it also leaves ten rows and ten validations, by shorter log_every and validate_every."""

    def _check(self) -> None:
        for name in ("learning_rate", "gate_learning_rate", "patience", "power", "scale", "iterations"):
            validation.positive(name, getattr(self, name))
        if not 0 < self.factor < 1:
            validation.refuse("factor", "above 0 and below 1", self.factor)
        if not 0 < self.gate_error <= 100:
            validation.refuse("gate_error", "above 0 and at most 100 percent", self.gate_error)
        if not self.scaled_iterations:
            validation.refuse("scale", f"large enough to leave one of the {self.iterations} iterations", self.scale)
        self._check_warmup()
        if self.name in ("steps", "error-gate"):
            self._check_boundaries("boundaries", self.boundaries, self.iterations)
            self._check_boundaries("scaled_boundaries", self.scaled_boundaries, self.scaled_iterations)

    def _check_warmup(self) -> None:
        if not 0 <= self.warmup_iterations < self.iterations:
            rule = f"at least 0 and below iterations={self.iterations}"
            validation.refuse("warmup_iterations", rule, self.warmup_iterations)
        if not 0 <= self.warmup_learning_rate < self.learning_rate:
            rule = f"at least 0 and below learning_rate={self.learning_rate}"
            validation.refuse("warmup_learning_rate", rule, self.warmup_learning_rate)
        if self.warmup_learning_rate and not self.warmup_iterations:
            validation.refuse("warmup_learning_rate", "0 without warmup_iterations", self.warmup_learning_rate)
        if self.warmup_iterations and self.name == "error-gate":
            validation.refuse(
                "warmup_iterations", "0 with name='error-gate', which is a warm-up", self.warmup_iterations
            )

    def _check_boundaries(self, name: str, boundaries: tuple[int, ...], iterations: int) -> None:
        edges = (0, *boundaries, iterations)
        if any(later <= earlier for earlier, later in itertools.pairwise(edges)):
            rule = f"increasing, above 0 and below the {iterations} iterations"
            validation.refuse(name, rule, boundaries, "To shorten or stretch everything together, set `scale`")

    @property
    def scaled_iterations(self) -> int:
        """When to stop, after scaling."""
        return round(self.iterations * self.scale)

    @property
    def scaled_boundaries(self) -> tuple[int, ...]:
        """The iterations at which the learning rate drops, after scaling."""
        return tuple(round(boundary * self.scale) for boundary in self.boundaries)

    @property
    def scaled_warmup_iterations(self) -> int:
        """Iterations of warm-up, after scaling."""
        return round(self.warmup_iterations * self.scale)
