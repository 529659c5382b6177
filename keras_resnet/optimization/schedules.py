"""Learning rates as functions of the iteration.

A schedule is called in two ways, and both evaluate the same formula:

- with the number of an iteration or an array of them, it answers in numpy, computed in float64 and rounded to float32.
  The training loop asks for its next iterations at once, and an iteration's rate does not depend on what was asked
  with it;
- with a tensor or a variable it answers with a tensor, and so serves as a Keras schedule in `compile` and `fit`.

Some rules follow the error. The training loop passes the errors that it measures to every schedule (`observe`), and
keeps its `state` in the checkpoints. Iterations count from 0 everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import keras
import numpy as np


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Base of the schedules."""

    arguments: tuple[str, ...] = ()
    """Names of the constructor's arguments; the attributes have the same."""
    follows_errors = False
    """Whether the rate depends on the errors that `observe` receives."""

    def _rate(self, iteration, xp):
        """The formula.

        Args:
            iteration: Array or tensor of floats, any shape.
            xp: The module to compute with: `numpy` or `keras.ops`.

        Returns:
            Learning rates, of the same kind, shape and dtype.
        """
        raise NotImplementedError

    def __call__(self, step):
        """The learning rate of an iteration.

        Args:
            step: An integer, or an integer array of any shape; or a scalar tensor or variable.

        Returns:
            float32, of the same shape: a numpy array for the former, a tensor for the latter.

        Raises:
            ValueError: if the rate depends on errors and `step` is a tensor, as in `fit`, where the rate of this moment
                would be compiled in for ever.
        """
        if isinstance(step, (int, np.integer, np.ndarray)):
            return np.asarray(self._rate(np.asarray(step, "float64"), np), "float32")
        if self.follows_errors:
            raise ValueError(
                f"the schedule of `fit` must depend on the iteration alone. Received: {type(self).__name__}, "
                "which follows errors that `fit` does not pass on. Train with `keras_resnet.training`"
            )
        return self._rate(keras.ops.cast(step, "float32"), keras.ops)

    def observe(
        self, iteration: int, *, training_error: float | None = None, validation_error: float | None = None
    ) -> str | None:
        """Receives an error.

        Args:
            iteration: Iterations done; also the first one that a change can affect.
            training_error: In percent.
            validation_error: In percent.

        Returns:
            One line about the change of the learning rate, or None if nothing changed.
        """

    @property
    def state(self) -> dict[str, Any]:
        """State that depends on the errors so far, fit for JSON; empty where nothing does."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Continues from a `state`.

        Raises:
            ValueError: if the state is that of another schedule.
        """
        if state.keys() != self.state.keys():
            raise ValueError(
                f"`state` must have the keys {sorted(self.state)} of {type(self).__name__}. Received: {sorted(state)}"
            )
        self._remember(**state)

    def _remember(self) -> None:
        """Restores the items of a state, given as keyword arguments."""

    def get_config(self) -> dict:
        """The arguments, for saving."""
        return {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in self.arguments}

    @classmethod
    def from_config(cls, config: dict) -> Schedule:
        """The schedule of a `get_config`."""
        return cls(**{name: keras.saving.deserialize_keras_object(value) for name, value in config.items()})


def staircase(iteration, xp, rates: Sequence[float], boundaries: Sequence[int]):
    """`rates[k]` once k boundaries are reached; a boundary is the first iteration of its new rate."""
    result = xp.full_like(iteration, rates[0])
    for boundary, rate in zip(boundaries, rates[1:], strict=True):
        result = xp.where(iteration >= boundary, xp.full_like(iteration, rate), result)
    return result


@keras.saving.register_keras_serializable(package="keras_resnet")
class Steps(Schedule):
    """Multiplies the learning rate by a factor at given iterations: the paper's "divide it by 10 at 32k and 48k".

    Args:
        learning_rate: Before the first boundary.
        boundaries: Increasing iterations. With 32,000, iterations 0 to 31,999 have the rate before, and 32,000 is the
            first with the rate after.
        factor: Of each drop.

    Raises:
        ValueError: if the boundaries do not increase.

    Reference:
        He et al., 2015, Section 4.2.
    """

    arguments = ("learning_rate", "boundaries", "factor")

    def __init__(self, learning_rate: float, boundaries: Sequence[int], factor: float = 0.1):
        if any(later <= earlier for earlier, later in pairwise(boundaries)):
            raise ValueError(f"`boundaries` must increase. Received: boundaries={tuple(boundaries)}")
        self.learning_rate = learning_rate
        self.boundaries = tuple(boundaries)
        self.factor = factor

    def _rate(self, iteration, xp):
        rates = [self.learning_rate * self.factor**drops for drops in range(len(self.boundaries) + 1)]
        return staircase(iteration, xp, rates, self.boundaries)


@keras.saving.register_keras_serializable(package="keras_resnet")
class Cosine(Schedule):
    """Half a period of a cosine, from the learning rate down to 0.

    Args:
        learning_rate: At iteration 0.
        iterations: When 0 is reached; at least 1.

    Reference:
        Loshchilov and Hutter, 2017, without restarts.
    """

    arguments = ("learning_rate", "iterations")

    def __init__(self, learning_rate: float, iterations: int):
        if iterations < 1:
            raise ValueError(f"`iterations` must be at least 1. Received: iterations={iterations!r}")
        self.learning_rate = learning_rate
        self.iterations = iterations

    def _rate(self, iteration, xp):
        done = xp.minimum(iteration / self.iterations, 1.0)
        return self.learning_rate * 0.5 * (1.0 + xp.cos(math.pi * done))


@keras.saving.register_keras_serializable(package="keras_resnet")
class Polynomial(Schedule):
    """A power of the share of iterations that is left, from the learning rate down to 0.

    Args:
        learning_rate: Until `start`.
        iterations: When 0 is reached; above `start`.
        power: 1 is a straight line, 2 the parabola that LARS is used with.
        start: The last iteration with the whole rate, such as the end of a warm-up; at least 0.

    Raises:
        ValueError: if `iterations`, `start` or `power` has a value that makes no sense.

    Reference:
        You et al., 2017, Section 5.
    """

    arguments = ("learning_rate", "iterations", "power", "start")

    def __init__(self, learning_rate: float, iterations: int, power: float = 2.0, start: int = 0):
        if not 0 <= start < iterations:
            raise ValueError(f"`start` must be at least 0 and below iterations={iterations!r}. Received: {start=}")
        if not power > 0:
            raise ValueError(f"`power` must be positive. Received: {power=}")
        self.learning_rate = learning_rate
        self.iterations = iterations
        self.power = power
        self.start = start

    def _rate(self, iteration, xp):
        left = (self.iterations - iteration) / (self.iterations - self.start)
        return self.learning_rate * xp.clip(left, 0.0, 1.0) ** self.power


@keras.saving.register_keras_serializable(package="keras_resnet")
class Warmup(Schedule):
    """Grows by the same amount at each iteration to where another schedule has got by then; then follows that one.

    The iterations of the warm-up count: they do not shift the other schedule's boundaries.

    Args:
        schedule: The schedule to follow.
        iterations: Length of the warm-up; at least 1.
        first: Learning rate of iteration 0. Goyal et al. start from the rate that suits a batch of 256.

    Reference:
        Goyal et al., 2017, Section 2.2.
    """

    arguments = ("schedule", "iterations", "first")

    def __init__(self, schedule: Schedule, iterations: int, first: float = 0.0):
        if iterations < 1:
            raise ValueError(f"`iterations` must be at least 1. Received: iterations={iterations!r}")
        self.schedule = schedule
        self.iterations = iterations
        self.first = first

    def _rate(self, iteration, xp):
        last = float(self.schedule._rate(np.float64(self.iterations), np))
        growing = self.first + (last - self.first) * (iteration / self.iterations)
        return xp.where(iteration < self.iterations, growing, self.schedule._rate(iteration, xp))

    @property
    def follows_errors(self) -> bool:
        """Whether the rate of the schedule behind depends on errors."""
        return self.schedule.follows_errors

    def observe(self, iteration, *, training_error=None, validation_error=None):
        """Passes errors on to the schedule behind."""
        return self.schedule.observe(iteration, training_error=training_error, validation_error=validation_error)

    @property
    def state(self) -> dict[str, Any]:
        """The state of the schedule behind; a warm-up has none."""
        return self.schedule.state

    def restore(self, state: dict[str, Any]) -> None:
        """Restores the schedule behind."""
        self.schedule.restore(state)


@keras.saving.register_keras_serializable(package="keras_resnet")
class Plateau(Schedule):
    """Multiplies the learning rate by a factor "when the error plateaus": when the validation error stops improving.

    Args:
        learning_rate: Before the first drop.
        patience: Validations in a row without an improvement before a drop; at least 1.
        factor: Of each drop.
        minimum_improvement: By how much the error must fall below the best one to count, in percentage points.

    Reference:
        He et al., 2015, Section 3.4. The paper does not say when it judged a plateau to be reached.
    """

    arguments = ("learning_rate", "patience", "factor", "minimum_improvement")
    follows_errors = True

    def __init__(self, learning_rate: float, patience: int, factor: float = 0.1, minimum_improvement: float = 0.1):
        if patience < 1:
            raise ValueError(f"`patience` must be at least 1. Received: patience={patience!r}")
        self.learning_rate = learning_rate
        self.patience = patience
        self.factor = factor
        self.minimum_improvement = minimum_improvement
        self._remember(best=None, waited=0, drops=[])

    def _rate(self, iteration, xp):
        rates = [self.learning_rate * self.factor**drops for drops in range(len(self.drops) + 1)]
        return staircase(iteration, xp, rates, self.drops)

    def observe(self, iteration, *, validation_error=None, **_):
        """Counts validations without an improvement; ignores the training error."""
        if validation_error is None:
            return None
        if self.best is None or validation_error < self.best - self.minimum_improvement:
            self.best, self.waited = float(validation_error), 0
            return None
        self.waited += 1
        if self.waited < self.patience:
            return None
        before = self(iteration)
        self.waited = 0
        self.drops.append(int(iteration))
        return (
            f"validation error has not improved on {self.best:.4g}% in {self.patience} validations: "
            f"learning rate {before:g} -> {self(iteration):g} from iteration {iteration}"
        )

    @property
    def state(self) -> dict[str, Any]:
        """The best error, the validations since, and the iterations of the drops."""
        return {"best": self.best, "waited": self.waited, "drops": list(self.drops)}

    def _remember(self, best: float | None, waited: int, drops: Sequence[int]) -> None:
        self.best, self.waited, self.drops = best, waited, list(drops)


@keras.saving.register_keras_serializable(package="keras_resnet")
class ErrorGate(Schedule):
    """A small learning rate until the training error falls below a threshold, then another schedule.

    The paper's rule for ResNet-110, for which 0.1 is "slightly too large to start converging": 0.01 until the training
    error is below 80% (about 400 iterations), then 0.1. The gate opens once and does not shift the other schedule's
    boundaries.

    Args:
        schedule: The schedule once the gate is open. Until then it receives no errors.
        learning_rate: Until then.
        error: Training error in percent that opens the gate from below.

    Reference:
        He et al., 2015, Section 4.2.
    """

    arguments = ("schedule", "learning_rate", "error")
    follows_errors = True

    def __init__(self, schedule: Schedule, learning_rate: float = 0.01, error: float = 80.0):
        self.schedule = schedule
        self.learning_rate = learning_rate
        self.error = error
        self.opened: int | None = None

    def _rate(self, iteration, xp):
        small = xp.full_like(iteration, self.learning_rate)
        if self.opened is None:
            return small
        return xp.where(iteration < self.opened, small, self.schedule._rate(iteration, xp))

    def observe(self, iteration, *, training_error=None, validation_error=None):
        """Opens the gate; passes errors on once it is open."""
        if self.opened is not None:
            return self.schedule.observe(iteration, training_error=training_error, validation_error=validation_error)
        if training_error is None or not training_error < self.error:
            return None
        self.opened = int(iteration)
        return (
            f"training error {training_error:.4g}% is below {self.error:g}%: "
            f"learning rate {self.learning_rate:g} -> {self(iteration):g} from iteration {iteration}"
        )

    @property
    def state(self) -> dict[str, Any]:
        """The first iteration with the gate open, and the state of the schedule behind it."""
        return {"opened": self.opened, "schedule": self.schedule.state}

    def _remember(self, opened: int | None, schedule: dict[str, Any]) -> None:
        self.schedule.restore(schedule)
        self.opened = opened


def warmed_up(schedule: Schedule, *, warmup_iterations: int = 0, warmup_learning_rate: float = 0.0, **_) -> Schedule:
    """The schedule behind a warm-up of so many iterations, or itself for none."""
    return Warmup(schedule, warmup_iterations, warmup_learning_rate) if warmup_iterations else schedule


def steps(*, learning_rate, boundaries, factor, **settings) -> Schedule:
    """Drops at the boundaries."""
    return warmed_up(Steps(learning_rate, boundaries, factor), **settings)


def plateau(*, learning_rate, patience, factor, **settings) -> Schedule:
    """Drops at plateaus of the validation error."""
    return warmed_up(Plateau(learning_rate, patience, factor), **settings)


def error_gate(*, gate_learning_rate, gate_error, **settings) -> Schedule:
    """The rule for ResNet-110: drops at the boundaries, behind a gate."""
    return ErrorGate(steps(**settings), gate_learning_rate, gate_error)


def cosine(*, learning_rate, iterations, **settings) -> Schedule:
    """A cosine over all iterations."""
    return warmed_up(Cosine(learning_rate, iterations), **settings)


def polynomial(*, learning_rate, iterations, power, warmup_iterations=0, **settings) -> Schedule:
    """A polynomial over the iterations after the warm-up."""
    schedule = Polynomial(learning_rate, iterations, power, start=warmup_iterations)
    return warmed_up(schedule, warmup_iterations=warmup_iterations, **settings)


SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "steps": steps,
    "plateau": plateau,
    "error-gate": error_gate,
    "cosine": cosine,
    "polynomial": polynomial,
}
"""Schedules by the name that a recipe gives them.

Each row takes every setting of a recipe's schedule as a keyword argument (learning_rate, iterations, boundaries,
factor, warmup_iterations, warmup_learning_rate, gate_learning_rate, gate_error, patience, power) and reads those that
concern it.
"""
