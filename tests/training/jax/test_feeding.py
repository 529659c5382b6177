"""Batches on four devices ahead of time, and the time that these wait for them."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, threading, time
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding
from keras_resnet.training.jax.feeding import Feed

devices = jax.devices()
assert len(devices) == 4
divided = NamedSharding(Mesh(np.array(devices), ("data",)), PartitionSpec("data"))
told = {}


class Batches:
    def __init__(self, count, seconds=0.0, error=None):
        self.count, self.seconds, self.error, self.given, self.closed = count, seconds, error, 0, False

    def __iter__(self):
        return self

    def __next__(self):
        if self.given == self.count:
            raise self.error or StopIteration
        time.sleep(self.seconds)
        self.given += 1
        number = self.given - 1
        return np.full((2, 3, 3, 3), number, np.uint8), np.full(2, number, np.int32)

    def close(self):
        self.closed = True


feed = Feed(Batches(11), divided)
batches = list(feed)
told["labels"] = [np.asarray(labels).tolist() for _, labels in batches]
told["shape"] = batches[0][0].shape
told["divided"] = all(images.sharding == divided for images, _ in batches)
told["order"] = [int(np.asarray(part.data)[0]) for part in batches[0][1].addressable_shards]
told["after the end"] = list(feed)

single = SingleDeviceSharding(devices[2])
told["single"] = all(images.devices() == {devices[2]} for images, _ in Feed(Batches(2), single))
told["scales"] = [part.shape for part in next(Feed(iter([((np.zeros((1, 2, 9, 9, 3)),) * 2, np.zeros(1))]), single))[0]]

source = Batches(4, error=ValueError("3.jpg: damaged"))
feed = Feed(source, divided)
next(feed)
try:
    next(feed)
except ValueError as error:
    told["error"] = str(error)
told["closed after the error"] = source.closed

source = Batches(1 << 60)
feed = Feed(source, divided, depth=2)
next(feed)
time.sleep(0.3)
told["ahead"] = source.given // 4
feed.close()
told["closed"] = source.closed and [t for t in threading.enumerate() if "feed" in t.name] == []


def trained(seconds, output):
    feed = Feed(Batches(4 * 11, seconds / 4), divided)
    begin = None
    for _ in feed:
        begin = begin or time.perf_counter()
        output(feed)
    return feed.waited_seconds / (time.perf_counter() - begin)


class Computed:
    def __init__(self, seconds):
        self.end = time.perf_counter() + seconds

    def is_ready(self):
        return time.perf_counter() >= self.end


told["idle at once"] = trained(0.04, lambda feed: setattr(feed, "output", Computed(0.0)))
told["half"] = trained(0.04, lambda feed: setattr(feed, "output", Computed(0.02)))
told["computing all the time"] = trained(0.04, lambda feed: setattr(feed, "output", Computed(9.0)))
told["input in time"] = trained(0.0, lambda feed: time.sleep(0.02))
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told() -> dict:
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    paths = os.pathsep.join(path for path in sys.path if path)
    flags = "--xla_force_host_platform_device_count=4"
    environment = {**os.environ, "PYTHONPATH": paths, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", PROGRAM]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_replicas_get_their_batches_in_order(told):
    """What is left over does not make a global batch."""
    assert told["labels"] == [[0, 0, 1, 1, 2, 2, 3, 3], [4, 4, 5, 5, 6, 6, 7, 7]]
    assert told["shape"] == [8, 3, 3, 3] and told["divided"]
    assert told["order"] == [0, 1, 2, 3]
    assert told["after the end"] == []


def test_a_single_device_and_several_sizes_are_fed(told):
    assert told["single"]
    assert told["scales"] == [[1, 2, 9, 9, 3]] * 2


def test_an_error_of_the_batches_is_raised_where_the_batch_is_asked_for(told):
    assert told["error"] == "3.jpg: damaged"
    assert told["closed after the error"]


def test_two_batches_wait_and_one_is_on_its_way(told):
    assert 3 <= told["ahead"] <= 4


def test_closing_ends_the_thread_and_the_batches(told):
    assert told["closed"]


def test_only_idle_devices_wait(told):
    assert told["idle at once"] > 0.8
    assert 0.25 < told["half"] < 0.75
    assert told["computing all the time"] == 0
    assert told["input in time"] < 0.1
