"""Both backends keep what the protocol promises, and so does the one that stands in for them in tests.

Run as a program, this file checks the backend that `KERAS_BACKEND` names, as `laws/test_backends` does on JAX.
"""

from __future__ import annotations

import ast
import inspect
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_resnet
from fake_backend import FakeBackend
from interruptions import At
from keras_resnet.data.datasets import loading
from keras_resnet.experiment.backends import BACKENDS
from keras_resnet.optimization.schedules import Steps
from keras_resnet.training.backend import Backend, OneProcess, Processes
from keras_resnet.training.checkpoints import Checkpoints
from keras_resnet.training.intervals import Intervals
from keras_resnet.training.jax.processes import MeshProcesses
from keras_resnet.training.tensorflow.processes import StrategyProcesses
from keras_resnet.training.trainer import Trainer
from small_trainings import GLOBAL_BATCH_SIZE, backend

RATES = np.array([0.1, 0.1, 0.05, 0.02, 0.1], "float32")


def members(protocol: type) -> dict[str, object]:
    return {name: value for name, value in vars(protocol).items() if not name.startswith("_")}


@pytest.mark.parametrize("kind", [*(BACKENDS[name]() for name in BACKENDS), FakeBackend])
def test_a_backend_has_every_member_of_the_protocol(kind):
    for name, member in members(Backend).items():
        if isinstance(member, property) or name in vars(Backend).get("__annotations__", {}):
            assert name in dir(kind) or f"self.{name}" in inspect.getsource(kind.__init__), name
        elif name != "connect":  # which may leave arguments unread
            wanted, given = (inspect.signature(each).parameters for each in (member, getattr(kind, name)))
            assert list(given) == list(wanted), name
            assert [p.kind for p in given.values()] == [p.kind for p in wanted.values()], name


@pytest.mark.parametrize("kind", [StrategyProcesses, MeshProcesses, OneProcess])
def test_processes_have_every_member_of_the_protocol(kind):
    of_each = {*dir(kind), *getattr(kind, "__annotations__", ())}
    assert all(name in of_each or f"self.{name}" in inspect.getsource(kind) for name in members(Processes))


def test_backends_are_made_from_the_same_arguments():
    signatures = [inspect.signature(BACKENDS[name]().__init__).parameters for name in BACKENDS]
    first, *others = ({name: p.default for name, p in signature.items()} for signature in signatures)
    assert all(other == first for other in others)


def connected(kind: type[Backend]) -> Processes:
    return kind.connect(strategy="one_device", replicas=None, global_batch_size=GLOBAL_BATCH_SIZE, timeout=1.0)


def made(kind: type[Backend]) -> Backend:
    return backend(kind, connected(kind), global_clipnorm=1.0)


def assert_equal(received: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert received.keys() == expected.keys()
    for name, value in expected.items():
        assert received[name].dtype == value.dtype and received[name].shape == value.shape, name
        np.testing.assert_array_equal(received[name], value, err_msg=name)


def check_processes(kind: type[Backend]) -> None:
    """One process has one replica, whose device has a name."""
    processes = connected(kind)
    assert (processes.count, processes.is_chief, processes.replicas, len(processes.devices)) == (1, True, 1, 1)
    assert processes.broadcast(b"x") == b"x"
    assert processes.maximum([1, -2.0]) == [1.0, -2.0]


def check_iterations(kind: type[Backend]) -> None:
    """Iterations are the same bits however they are divided."""
    whole, divided = made(kind), made(kind)
    losses, misclassified = whole.start(0, steps_per_execution=4)(RATES[:4])
    assert losses.shape == misclassified.shape == (4,)
    assert losses.dtype == "float32" and misclassified.dtype.kind == "i"
    assert ((misclassified >= 0) & (misclassified <= GLOBAL_BATCH_SIZE)).all() and misclassified.any()
    first = divided.start(0, steps_per_execution=4)
    for part in (slice(0, 1), slice(1, 4)):
        received = first(RATES[part])
        np.testing.assert_array_equal(received, (losses[part], misclassified[part]))
    assert_equal(divided.read(), whole.read())


def check_values(kind: type[Backend]) -> None:
    """What is read has the names of a checkpoint, and comes back."""
    backend, other = made(kind), made(kind)
    backend.start(0, steps_per_execution=2)(RATES[:2])
    values = backend.read()
    assert {"model/predictions/kernel", "optimizer/SGD/iteration"} < values.keys()
    assert values["model/bn/moving_mean"].shape == (1, 64)
    assert (values["model/bn/moving_mean"] != other.read()["model/bn/moving_mean"]).any()
    shapes = {name: value.shape for name, value in values.items()}
    assert other.difference(shapes) is None
    assert "model/more" in other.difference(shapes | {"model/more": (1,)})
    other.write(values)
    assert_equal(other.read(), values)
    mean = values["model/bn/moving_mean"]
    other.write(values | {name: np.concatenate([v, v + 2]) for name, v in values.items() if "moving_" in name})
    np.testing.assert_allclose(other.read()["model/bn/moving_mean"], mean + 1, rtol=1e-6)


def check_evaluation(kind: type[Backend]) -> None:
    """Every image counts once, as the network predicts it."""
    backend = made(kind)
    backend.start(0, steps_per_execution=4)(RATES[:4])
    split = loading.load("digits").validation.part(0, 50)
    with backend.evaluation_weights():
        measured = backend.evaluate(split)
    logits = backend.network.predict(split.images, verbose=0)
    assert measured.images == 50
    assert measured.top1_error == 100 * np.mean(logits.argmax(-1) != split.labels)
    assert not backend.exhausted


def check_resuming(kind: type[Backend]) -> None:
    """A training that crashed comes to the same bits as one that did not."""

    def start(directory: Path, **changes) -> Trainer:
        return Trainer(
            made(kind),
            Steps(0.1, (6,)),
            loading.load("digits").validation.part(0, 50),
            last_iteration=9,
            intervals=Intervals(3, 6, 4, 3),
            history=directory / "history.csv",
            checkpoints=Checkpoints(directory),
            **changes,
        )

    def crash():
        raise KeyError

    with tempfile.TemporaryDirectory() as folder:
        whole, stopped = (Path(folder) / name for name in ("whole", "stopped"))
        whole.mkdir()
        stopped.mkdir()
        expected = start(whole)
        expected.run()
        with pytest.raises(KeyError):
            start(stopped, callbacks=[At(6, crash)]).run()
        resumed = start(stopped)
        assert resumed.restore() == []
        assert resumed.state.iteration == 4
        resumed.run()
        assert_equal(resumed.backend.read(), expected.backend.read())
        assert (stopped / "history.csv").read_bytes() == (whole / "history.csv").read_bytes()


CHECKS: tuple[Callable, ...] = (check_processes, check_iterations, check_values, check_evaluation, check_resuming)


@pytest.mark.parametrize("check", CHECKS[:-1], ids=lambda check: check.__name__)
def test_tensorflow_keeps_the_promise(check):
    """Of resuming, `test_continuing` tells."""
    check(BACKENDS["tensorflow"]())


def test_the_loop_needs_no_tensorflow():
    """Nor does anything that is imported with it."""
    root = Path(keras_resnet.__file__).parents[1]
    reached, waiting = set(), ["keras_resnet.training.trainer", "keras_resnet.training.restoring"]
    while waiting:
        name = waiting.pop()
        file = next(
            (f for f in (root / f"{name.replace('.', '/')}{end}" for end in (".py", "/__init__.py")) if f.exists()),
            None,
        )
        if name in reached or file is None:
            continue
        reached.add(name)
        for node in ast.parse(file.read_text(encoding="utf-8")).body:  # not what a function imports, or a type
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                imported = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            else:
                continue
            assert "tensorflow" not in {each.split(".")[0] for each in imported}, name
            waiting += [each for each in imported if each.startswith("keras_resnet")]
    assert {"keras_resnet.training.state", "keras_resnet.evaluation.error_rates"} < reached


if __name__ == "__main__":
    for check in CHECKS:
        check(BACKENDS[keras.backend.backend()]())
        print(check.__name__)
