"""Searches among points, on KerasTuner's oracles: they choose what is measured next.

A point is a value for each axis, such as `{"model.shortcut": "B", "optimizer.weight_decay": 3e-4}`. What is measured
is the caller's: `recipes/tune.py` trains a recipe. Nothing of KerasTuner's own is kept, as it (1.4) cannot take up a
grid search again. The seed is fixed instead: a search that begins again asks for the same points, and whoever kept what
was measured answers at once.

Several processes share a search where KerasTuner's variables are set, `KERASTUNER_ORACLE_IP` and
`KERASTUNER_ORACLE_PORT` of the chief and `KERASTUNER_TUNER_ID` ("chief" in one, another name in each of the others):
the chief chooses, the others measure.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner

Values = dict[str, Any]
Measure = Callable[[Values, float], float | None]

OBJECTIVE = "validation_error"
WORST = 100.0
"""The error in percent of a point that cannot be measured, so that the oracles look elsewhere."""
FACTOR = 3
"""hyperband: how much longer each rung trains than the one before, and how many points it leaves behind for one."""
SEED = 1
"""Of the oracles. Not 0, which KerasTuner takes for none."""
DIGITS = 4
"""Of the numbers that are taken from a range, so that people can read and type them."""
PAUSE = 0.1
"""Seconds before each question to the oracle; one that has no answer yet is asked again at once."""

ORACLES: dict[str, Callable[..., keras_tuner.Oracle]] = {
    "grid": lambda trials, epochs, **shared: keras_tuner.oracles.GridSearchOracle(max_trials=trials, **shared),
    "random": lambda trials, epochs, **shared: keras_tuner.oracles.RandomSearchOracle(max_trials=trials, **shared),
    "hyperband": lambda trials, epochs, **shared: keras_tuner.oracles.HyperbandOracle(
        max_epochs=epochs, factor=FACTOR, **shared
    ),
    "bayesian": lambda trials, epochs, **shared: keras_tuner.oracles.BayesianOptimizationOracle(
        max_trials=trials, **shared
    ),
}
"""The ways to search; `trials` is None for all points of a grid, and hyperband alone counts in `epochs`."""


class Tuner(BaseTuner):
    """Measures the points that an oracle chooses.

    Args:
        oracle: Chooses.
        measure: The error in percent of a point and a share of the training (0 to 1); None if it cannot be measured.
        epochs: What hyperband calls the whole training.
        directory: Where KerasTuner notes what it does.
    """

    def __init__(self, oracle: keras_tuner.Oracle, measure: Measure, epochs: int, directory: str):
        super().__init__(oracle, directory=directory, project_name="search")
        self.measure, self.epochs = measure, epochs

    def pre_create_trial(self) -> None:
        time.sleep(PAUSE)

    def run_trial(self, trial: Any) -> dict[str, float]:
        try:
            error = self.measure(*point(trial.hyperparameters.values, self.epochs))
        except Exception as cause:
            # KerasTuner would go on after any other error.
            raise keras_tuner.errors.FatalError(str(cause)) from cause
        return {OBJECTIVE: WORST if error is None else error}


def search(
    measure: Measure,
    choices: Mapping[str, Sequence[str]],
    ranges: Mapping[str, tuple[float, float, str]],
    *,
    kind: str = "grid",
    trials: int | None = None,
    rungs: int = 3,
) -> list[tuple[Values, float]] | None:
    """Measures points until the search is over.

    Args:
        measure: The validation error in percent of a point, trained for a share of its schedule (above 0, at most 1;
            below 1 with hyperband alone); None if it cannot be measured, which counts as 100%.
        choices: Axes with the words that they may be.
        ranges: Axes with their lowest and highest number, and "linear" or "log"; whole numbers if both ends are.
        kind: A key of `ORACLES`.
        trials: The most points; None for all of a grid. Not for hyperband, whose rungs decide.
        rungs: hyperband: the shares of the training are 1, 1/3, 1/9, …, as many as this.

    Returns:
        The points and shares in the order in which they were chosen; None in a process that measures for another.

    Raises:
        ConnectionError: if the chief of several processes does not answer, or cannot listen at its address.
    """
    epochs = FACTOR ** (rungs - 1)
    shared = {"objective": keras_tuner.Objective(OBJECTIVE, "min"), "hyperparameters": space(choices, ranges)}
    oracle = ORACLES[kind](trials, epochs, seed=SEED, **shared)
    # After 20 points that were there before, in a row, KerasTuner believes that there are no others.
    oracle._max_collisions = 1000
    oracle.verbose = 0
    with tempfile.TemporaryDirectory() as notes:
        tuner = Tuner(oracle, measure, epochs, notes)
        try:
            tuner.search()
        except keras_tuner.errors.FatalError as error:
            raise error.__cause__ or error from None
        except grpc.RpcError as error:
            raise ConnectionError(f"the chief of the search at {address()} does not answer: {error.code()}") from error
        except RuntimeError as error:
            if "KERASTUNER_ORACLE_IP" not in os.environ:
                raise
            raise ConnectionError(f"the chief of the search cannot listen at {address()}: {error}") from error
    if tuner.oracle is not oracle:
        return None
    return [point(oracle.trials[name].hyperparameters.values, epochs) for name in oracle.start_order]


def address() -> str:
    """Where the chief of several processes is asked."""
    return f"{os.environ['KERASTUNER_ORACLE_IP']}:{os.environ['KERASTUNER_ORACLE_PORT']}"


def space(
    choices: Mapping[str, Sequence[str]], ranges: Mapping[str, tuple[float, float, str]]
) -> keras_tuner.HyperParameters:
    """The axes as KerasTuner knows them."""
    known = keras_tuner.HyperParameters()
    for name, words in choices.items():
        known.Choice(name, list(words))
    for name, (low, high, sampling) in ranges.items():
        whole = isinstance(low, int) and isinstance(high, int)
        (known.Int if whole else known.Float)(name, low, high, sampling=sampling)
    return known


def point(values: Mapping[str, Any], epochs: int) -> tuple[Values, float]:
    """The value of each axis, and the share of the training, from KerasTuner's values."""
    shortened = {name: float(f"{value:.{DIGITS}g}") for name, value in values.items() if isinstance(value, float)}
    axes = {name: value for name, value in {**values, **shortened}.items() if not name.startswith("tuner/")}
    return axes, values.get("tuner/epochs", epochs) / epochs
