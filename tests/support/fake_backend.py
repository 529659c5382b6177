"""A backend without a framework: what a training loop does can be tested in milliseconds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from types import SimpleNamespace

import numpy as np

from keras_resnet.evaluation.error_rates import ErrorRates
from keras_resnet.training.backend import OneProcess, Processes

BATCH, FEATURES = 16, 6


class FakeBackend:
    """Linear regression by gradients with momentum, in NumPy.

    Every bit depends on the images of each iteration, which are a function of its number, on the rates, and on all
    that `read` gives. An image is misclassified if its prediction has the wrong sign.

    Args:
        processes: Where this runs.
        errors: The top-1 errors that evaluations give, one after the other; measured, if there are none.
    """

    global_batch_size = BATCH
    exhausted = False
    strategies = ("one_device",)
    waited_seconds = None

    def __init__(self, processes: Processes | None = None, errors: Iterable[float] | None = None):
        self.processes = processes or OneProcess()
        self.network = SimpleNamespace(stop_training=False)
        self.weights = np.zeros(FEATURES, "float32")
        self.momentum = np.zeros(FEATURES, "float32")
        self.averaged = False
        self.evaluated: list[int] = []
        self._errors = None if errors is None else iter(errors)
        self._iteration = 0

    @staticmethod
    def connect(**_) -> Processes:
        return OneProcess()

    def start(self, first_iteration: int, *, steps_per_execution: int):
        self._iteration = first_iteration

        def train(rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            assert 0 < len(rates) <= steps_per_execution
            with np.errstate(all="ignore"):
                losses, misclassified = zip(*map(self._step, rates), strict=True)
            return np.array(losses, "float32"), np.array(misclassified)

        return train

    def _step(self, rate: np.float32) -> tuple[np.float32, int]:
        images, targets = images_of(self._iteration)
        self._iteration += 1
        errors = images @ self.weights - targets
        self.momentum = np.float32(0.9) * self.momentum - rate * (images.T @ errors) / np.float32(BATCH)
        self.weights = self.weights + self.momentum
        return np.mean(errors**2), self._misclassified(errors + targets, targets)

    @staticmethod
    def _misclassified(predictions: np.ndarray, targets: np.ndarray) -> int:
        return int(np.count_nonzero(np.sign(predictions) != np.sign(targets)))

    def evaluate(self, split) -> ErrorRates:
        assert self.averaged, "validation must see the weights to evaluate"
        self.evaluated.append(self._iteration)
        images, targets = images_of(10**6)
        error = 100.0 * self._misclassified(images @ self.weights, targets) / BATCH
        return ErrorRates(BATCH, 1.0, error if self._errors is None else next(self._errors), 0.0)

    @contextlib.contextmanager
    def evaluation_weights(self) -> Iterator[None]:
        self.averaged = True
        yield
        self.averaged = False

    def recompute_statistics(self, images: int) -> None:
        raise NotImplementedError

    def read(self) -> dict[str, np.ndarray]:
        return {"model/weights": self.weights.copy(), "optimizer/momentum": self.momentum.copy()}

    def write(self, values: Mapping[str, np.ndarray]) -> None:
        self.weights, self.momentum = values["model/weights"].copy(), values["optimizer/momentum"].copy()

    def difference(self, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
        mine = {name: value.shape for name, value in self.read().items()}
        return None if dict(shapes) == mine else f"{shapes} there, {mine} here"


def images_of(iteration: int) -> tuple[np.ndarray, np.ndarray]:
    """float32 [batch, features], and their targets float32 [batch]: a noisy sum of the features."""
    random = np.random.default_rng(iteration)
    images = random.normal(size=(BATCH, FEATURES)).astype("float32")
    return images, images.sum(axis=1) + random.normal(size=BATCH).astype("float32")
