"""What processes tell one another: the same bytes everywhere, in one all-reduce, traced once."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.training.backend import WorkerLostError
from keras_resnet.training.tensorflow import processes, strategies
from keras_resnet.training.tensorflow.processes import StrategyProcesses
from ports import free_ports

ROOT = Path(__file__).parents[3]
CHUNK = 104
"""Bytes, for the tests; the lengths below are those around it, and around the eight bytes of an element."""
LENGTHS = [0, 1, 7, 8, 9, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, *random.Random(0).sample(range(1000), 5)]


def message(length: int) -> bytes:
    return random.Random(length).randbytes(length)


def test_the_only_process_is_the_chief_and_tells_itself(two_devices):
    for strategy, replicas in ((strategies.one_device(), 1), (two_devices, 2)):
        alone = StrategyProcesses(strategy)
        assert (alone.count, alone.is_chief, alone.replicas) == (1, True, replicas)
        assert alone.devices == strategies.device_names(strategy) and len(alone.devices) == replicas
        assert [alone.broadcast(message(length)) for length in LENGTHS] == [message(length) for length in LENGTHS]
        assert alone.broadcast(None) == b""
        assert alone.maximum([2.0, -1.0, 0]) == [2.0, -1.0, 0.0]


def test_a_process_counts_once_in_the_sum_whatever_its_devices(two_devices):
    """Any bits, in chunks of any size, by one graph."""
    several = StrategyProcesses(two_devices)
    for length in filter(None, LENGTHS):  # an empty all-reduce never ends, so nothing is sent where there is nothing
        assert several._sum_of_chunk(message(length), length) == message(length)
    extremes = np.array([-(2**63), 2**63 - 1, 0, -1])
    np.testing.assert_array_equal(several._sum_over_processes(tf.constant(extremes)), extremes)
    assert several._sum_over_processes.experimental_get_tracing_count() == 1


def test_only_errors_of_a_lost_process_are_named_so(monkeypatch):
    alone = StrategyProcesses(strategies.one_device())
    lost = tf.errors.UnavailableError(None, None, "Connection reset")
    with pytest.raises(tf.errors.UnavailableError), alone.naming_lost_workers():
        raise lost
    monkeypatch.setattr(StrategyProcesses, "count", 2)
    for error in (lost, tf.errors.InternalError(None, None, "Collective ops is aborted by: …")):
        with pytest.raises(WorkerLostError, match="^another worker is gone: Co"), alone.naming_lost_workers():
            raise error
    with pytest.raises(tf.errors.InternalError), alone.naming_lost_workers():
        raise tf.errors.InternalError(None, None, "out of memory")


PROGRAM = """
import json, sys
from keras_resnet.training.backend import on_chief
from keras_resnet.training.tensorflow import processes, strategies
import tensorflow as tf

together = processes.StrategyProcesses(strategies.multi_worker(60.0))
chief = together.is_chief
processes.CHUNK = int(sys.argv[1])
messages = [bytes.fromhex(message) for message in json.load(sys.stdin)]
received = [together.broadcast(message if chief else None).hex() for message in messages]
received += [together.broadcast(messages[-1] if chief else b"something else").hex()]
largest = together.maximum([3.0, -1.0, 0.0, 2.0**53] if chief else [-3.0, float("inf"), -0.5, 2.0**53 - 1])
hosts = []
strategies.batches(together.strategy, lambda **where: hosts.append(where) or tf.data.Dataset.range(4))

def refuse():
    raise FileExistsError("it is there")

done = on_chief(together, lambda: "done")
try:
    on_chief(together, refuse)
except (ValueError, OSError) as error:
    refused = f"{type(error).__name__}: {error}"
traced = together._sum_over_processes.experimental_get_tracing_count()
print(json.dumps([chief, together.count, received, largest, hosts, done, refused, traced]))
"""


@pytest.mark.slow
def test_two_processes_tell_each_other_what_they_must():
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(CHUNK)],
            env={
                **os.environ,
                "TF_CONFIG": json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}),
            },
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    messages = [message(length) for length in LENGTHS]
    for process in started:
        process.stdin.write(json.dumps([each.hex() for each in messages]))
        process.stdin.close()
        process.stdin = None
    for index, process in enumerate(started):
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        chief, count, received, largest, hosts, done, refused, traced = json.loads(output.splitlines()[-1])
        assert (chief, count) == (index == 0, 2)
        assert [bytes.fromhex(each) for each in received] == [*messages, messages[-1]]
        assert largest == [3.0, float("inf"), 0.0, 2.0**53]
        assert hosts == [{"replicas": 1, "host": index, "hosts": 2}]
        assert done == ("done" if index == 0 else None)
        assert refused == ("FileExistsError: it is there" if index == 0 else "ValueError: worker 0 says: it is there")
        assert traced == 1


def test_a_chunk_is_whole_elements():
    assert processes.CHUNK % 8 == 0 and CHUNK % 8 == 0
