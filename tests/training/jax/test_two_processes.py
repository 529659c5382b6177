"""Two real processes train as one does on two devices, and none waits for one that is gone."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from keras_resnet.host.signals import Stopped
from keras_resnet.training.backend import WorkerLostError
from keras_resnet.training.jax import processes
from keras_resnet.training.jax.processes import MeshProcesses
from ports import free_ports
from tiers import slow

PROGRAM = Path(__file__).with_name("two_processes.py")
needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")


@contextlib.contextmanager
def started(*words: object, count: int = 2, program: Path = PROGRAM) -> Iterator[list[subprocess.Popen]]:
    """The processes, none of which outlives the test."""
    [port] = free_ports(1)
    paths = os.pathsep.join(path for path in sys.path if path)
    common = {"KERAS_BACKEND": "jax", "PYTHONPATH": paths, "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    common |= {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "JAX_NUM_PROCESSES": str(count)}
    made = [
        subprocess.Popen(
            [sys.executable, str(program), *map(str, words)],
            env=os.environ | common | {"JAX_PROCESS_ID": str(index)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(count)
    ]
    try:
        yield made
    finally:
        for process in made:
            process.kill()
            process.communicate()


def ended(process: subprocess.Popen, status: int = 0) -> str:
    """The last line of what it printed."""
    output, errors = process.communicate(timeout=200)
    assert process.returncode == status, output + errors
    return output.splitlines()[-1]


@needs_jax
@pytest.mark.parametrize("network", ["shallow", *slow(["resnet8"])])
def test_two_processes_train_as_two_devices_of_one(network):
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"}
    paths = os.pathsep.join(path for path in sys.path if path)
    program = (
        "import two_processes as t, small_trainings as s, numpy as n, json; b = s.backend(t.JaxBackend, t.JaxBackend."
        "connect(strategy='mirrored', replicas=2, global_batch_size=16, timeout=1.0), s.NETWORK, **t.OPTIONS); "
        "print(json.dumps(b.start(0, steps_per_execution=50)(n.full(50, t.RATE))[0].tolist()))"
    )
    with started(network, 50) as workers:
        answers = [json.loads(ended(worker)) for worker in workers]
    command = [sys.executable, "-c", program.replace("NETWORK", network)]
    environment = os.environ | flags | {"KERAS_BACKEND": "jax", "PYTHONPATH": f"{PROGRAM.parent}:{paths}"}
    alone = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert alone.returncode == 0, alone.stderr
    for index, answer in enumerate(answers):
        assert (answer["chief"], answer["count"], answer["replicas"], answer["images"]) == (index == 0, 2, 2, 45)
        refused = "ValueError: worker 0 says: it is there" if index else "FileExistsError: it is there"
        assert answer["told"] == [True, True, True, refused]
        np.testing.assert_allclose(answer["losses"], json.loads(alone.stdout), rtol=1e-5)
    first, second = ({**answer, "chief": None, "told": None} for answer in answers)
    assert first == second
    if network == "shallow":
        rows = np.array(first["statistics"])
        assert len(rows) == 2 and np.abs(rows[0] - rows[1]).max() > 1e-3


@needs_jax
@pytest.mark.parametrize("killed", [0, *slow([1])])
def test_one_that_is_killed_is_named_by_the_other_in_seconds(killed):
    with started("shallow", 2, killed) as workers:
        workers[killed].wait(timeout=200)
        began = time.monotonic()
        told = ended(workers[1 - killed], 75)
        assert told == f"WorkerLostError: worker {killed} is gone: its connection has ended"
        assert time.monotonic() - began < processes.LEAVES_WITHIN


LATE = """
import sys, time
sys.path.insert(0, {folder!r})
import two_processes
told = two_processes.told
def late(processes):
    answer = told(processes)
    time.sleep(35 * processes.is_chief)
    return answer
two_processes.told = late
two_processes.main(*sys.argv[1:])
"""


@needs_jax
@pytest.mark.slow
def test_one_that_is_busy_for_long_is_waited_for(tmp_path):
    """JAX gives processes 30 s to begin their first sum; images and the compiler may take longer."""
    (program := tmp_path / "late.py").write_text(LATE.format(folder=str(PROGRAM.parent)))
    with started("shallow", 2, program=program) as workers:
        assert len({json.loads(ended(worker))["error"] for worker in workers}) == 1


class Wires:
    """What stands for the connections to other processes."""

    index, lost = 1, None

    def when_lost(self, action) -> None:
        self.lose = action

    def is_lost_within(self, seconds: float) -> bool:
        return self.lost is not None

    def close(self, *, failed: bool) -> None:
        self.failed = failed


@pytest.fixture
def wired() -> MeshProcesses:
    return MeshProcesses(None, Wires(), 2)


def test_an_error_of_the_runtime_is_that_of_a_lost_worker_if_one_is_lost(wired):
    gloo = ValueError("UNKNOWN: Gloo all-reduce failed: Connection closed by peer")
    with pytest.raises(ValueError, match="Gloo"), wired.naming_lost_workers():
        raise gloo
    wired.connections.lost = "worker 3 is gone"
    for error, expected in ((gloo, WorkerLostError), (ValueError("`depth` must be 6n+2"), ValueError)):
        with pytest.raises(expected) as raised, wired.naming_lost_workers():
            raise error
        assert type(raised.value) is expected


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        (None, False),
        (ValueError("of this process alone"), True),
        (KeyboardInterrupt(), True),
        (Stopped("together", 15), False),
        (ArithmeticError("in all processes"), False),
    ],
)
def test_the_others_learn_whether_this_one_has_failed(wired, error, failed):
    """Also of an error that is caught on the way, as by a run that tells it and ends."""
    with wired.naming_lost_workers():
        with contextlib.suppress(BaseException), wired.naming_lost_workers():
            if error:
                raise error
        assert not hasattr(wired.connections, "failed")
    assert wired.connections.failed is failed


def test_a_process_that_waits_for_a_device_is_ended(wired, monkeypatch, capsys):
    monkeypatch.setattr(processes, "LEAVES_WITHIN", 0.1)
    statuses = []
    monkeypatch.setattr(os, "_exit", statuses.append)
    with wired.naming_lost_workers():
        thread = threading.Thread(target=wired.connections.lose, args=["worker 3 is gone"])
        thread.start()
        thread.join()
    assert statuses == [75]
    assert capsys.readouterr().err.startswith("error: worker 3 is gone. To continue from the last checkpoint, start")
    with wired.naming_lost_workers():
        pass
    wired.connections.lose("worker 3 is gone")
    assert statuses == [75]
