"""Runs that are killed at any moment and started again leave what a run leaves that nothing has stopped, to the bit."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from checkpoint_content import content
from ports import free_ports

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

AGAIN = 75
RECIPE = ("digits-resnet8", "--schedule.scale", "0.5", "--training.log-every", "7", "--training.validate-every", "100")
MIRRORED = (
    *("--run.strategy", "mirrored", "--run.replicas", "2", "--optimizer.ema-momentum", "0.9"),
    *("--training.accumulation", "2", "--run.asynchronous-checkpoints"),
)
RUN = ("--run.resume", "--run.checkpoint-every", "5", "--run.iterations-per-call", "20")


def start(directory: Path, *flags: str, tf_config: dict | None = None, **variables: str) -> subprocess.Popen:
    """The program, whose output goes to a file beside the directory."""
    command = [sys.executable, "recipes/train.py", *RECIPE, *RUN, *flags, "--run.directory", str(directory)]
    environment = (
        {**os.environ, "PYTHONUNBUFFERED": "1"}
        | variables
        | ({"TF_CONFIG": json.dumps(tf_config)} if tf_config else {})
    )
    with directory.with_suffix(".log").open("a") as log:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)


def variables_of(backend: str, place: Path) -> dict[str, str]:
    """What makes a program that starts often compile for JAX only once."""
    compiled = {"JAX_COMPILATION_CACHE_DIR": str(place / "compiled"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    return {"KERAS_BACKEND": backend} | (compiled if backend == "jax" else {})


@contextlib.contextmanager
def ending(*processes: subprocess.Popen) -> Iterator[None]:
    """No process outlives a test that fails."""
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def until(happens: Callable[[], object], process: subprocess.Popen, seconds: float = 300) -> bool:
    """Waits for something; returns whether it happened before the process ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if happens():
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.0005)
    raise TimeoutError


def checkpoints(directory: Path) -> set[str]:
    return {path.name for path in (directory / "checkpoints").glob("ckpt-*.npz")}


def being_written(directory: Path) -> list[Path]:
    return list((directory / "checkpoints").glob(".ckpt-*.unfinished"))


def outcome(directory: Path) -> dict:
    """What a run leaves: the record, the last checkpoint, the results, the network."""
    import keras

    import keras_resnet  # noqa: F401, registers the classes of the network

    latest = max(map(iteration, checkpoints(directory)))
    values = content(directory / "checkpoints", latest)
    progress = values.pop("progress")
    network = keras.saving.load_model(directory / "model.keras")
    values |= {variable.path: np.array(variable) for variable in network.variables}
    result = json.loads((directory / "result.json").read_text())
    del result["images_per_second"]
    record = (directory / "history.csv").read_bytes()
    return {"values": values, "progress": progress, "result": result, "record": record, "last": latest}


def iteration(name: str) -> int:
    return int(name.removeprefix("ckpt-").removesuffix(".npz"))


def assert_equal(ended: dict, expected: dict) -> None:
    values, others = ended.pop("values"), expected.pop("values")
    assert ended == expected
    assert values.keys() == others.keys()
    for name, value in others.items():
        assert np.asarray(values[name]).tobytes() == np.asarray(value).tobytes(), name


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("backend", "kills", "flags"),
    [("tensorflow", 20, ()), ("tensorflow", 6, MIRRORED), ("jax", 20, ()), ("jax", 20, MIRRORED)],
    ids=["one device", "mirrored, accumulated, averaged, asynchronous", "jax", "jax, mirrored"],
)
def test_a_run_killed_at_random_moments_comes_to_the_same_bits(tmp_path, backend, kills, flags):
    """Every other time inside of the writing of a checkpoint."""
    whole, killed, variables = tmp_path / "whole", tmp_path / "killed", variables_of(backend, tmp_path)
    randomly, inside, began = random.Random(1), 0, set()
    for kill in range(kills):
        before = checkpoints(killed)
        process = start(killed, *flags, **variables)
        with ending(process):
            assert until(lambda before=before: checkpoints(killed) - before, process), killed.with_suffix(
                ".log"
            ).read_text()
            if kill % 2:
                until(lambda: being_written(killed), process)
            else:
                time.sleep(randomly.uniform(0, 0.5))
            process.kill()
            process.wait()
        assert not (killed / "result.json").exists(), "the run is too short for so many kills"
        inside += bool(being_written(killed))
        began.add(max(map(iteration, checkpoints(killed))))
    assert inside
    assert len(began) == kills
    for directory in (whole, killed):
        assert start(directory, *flags, **variables).wait(timeout=300) == 0, directory.with_suffix(".log").read_text()
    assert_equal(outcome(killed), outcome(whole))


def start_two(directory: Path, backend: str = "tensorflow") -> list[subprocess.Popen]:
    """Two workers that share nothing but the chief's directory, which the second is told wrongly."""
    directories = [directory, directory.with_name(f"{directory.name}-of-nobody")]
    if backend == "jax":
        [port] = free_ports(1)
        words = ("--run.strategy", "multi_process", "--run.join-timeout", "60")
        variables = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "JAX_NUM_PROCESSES": "2"}
        variables |= variables_of(backend, directory.parent)
        return [start(where, *words, **variables, JAX_PROCESS_ID=str(index)) for index, where in enumerate(directories)]
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    return [
        start(
            where,
            *("--run.strategy", "multi_worker", "--run.join-timeout", "60"),
            tf_config={"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}},
        )
        for index, where in enumerate(directories)
    ]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("backend", "kills"), [("tensorflow", 4), ("jax", 20)], ids=["tensorflow", "jax"])
def test_two_workers_of_which_one_is_killed_come_to_the_same_bits(tmp_path, backend, kills):
    """The other one ends within a minute, with the status that asks to be started again."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    randomly = random.Random(2)
    for kill in range(kills):
        before = checkpoints(killed)
        workers = start_two(killed, backend)
        with ending(*workers):
            assert until(lambda before=before: checkpoints(killed) - before, workers[0])
            time.sleep(randomly.uniform(0, 0.5))
            workers[kill % 2].kill()
            assert workers[1 - kill % 2].wait(timeout=60) == AGAIN
    for directory in (whole, killed):
        workers = start_two(directory, backend)
        with ending(*workers):
            assert [worker.wait(timeout=300) for worker in workers] == [0, 0]
        assert not directory.with_name(f"{directory.name}-of-nobody").exists()
    assert_equal(outcome(killed), outcome(whole))


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_what_the_chief_refuses_ends_all_workers(tmp_path, backend):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "letter.txt").write_text("Dear reader")
    workers = start_two(tmp_path / "run", backend)
    with ending(*workers):
        assert [worker.wait(timeout=60) for worker in workers] == [2, 2]
    assert "it holds no run" in (tmp_path / "run.log").read_text()
    assert "worker 0 says: " in (tmp_path / "run-of-nobody.log").read_text()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_preempted_worker_takes_the_others_along_and_loses_nothing(tmp_path, backend):
    workers = start_two(tmp_path / "run", backend)
    with ending(*workers):
        assert until(lambda: checkpoints(tmp_path / "run"), workers[0])
        workers[1].send_signal(signal.SIGTERM)
        assert [worker.wait(timeout=60) for worker in workers] == [AGAIN, AGAIN]
    said = (tmp_path / "run.log").read_text()
    stopped = said.partition("stopped after iteration ")[2].partition(".")[0]
    assert f"ckpt-{stopped}.npz" in checkpoints(tmp_path / "run")


def test_sigterm_in_one_process_saves_and_asks_to_be_started_again(tmp_path):
    process = start(tmp_path / "run")
    with ending(process):
        assert until(lambda: checkpoints(tmp_path / "run"), process)
        process.terminate()
        assert process.wait(timeout=60) == AGAIN
    assert "SIGTERM: stopping after this call" in (tmp_path / "run.log").read_text()
