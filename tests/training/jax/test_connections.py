"""Processes find one another, tell one another what they must, and know who is gone; here they are threads."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from keras_resnet.training.backend import WorkerLostError
from keras_resnet.training.jax import connections
from ports import free_ports


def start(count: int, timeout: float = 5.0, absent: tuple[int, ...] = (), begin: Callable = lambda: b"begin") -> dict:
    """What each worker gets: a future of its connections and of what all begin with."""
    [port] = free_ports(1)
    pool = ThreadPoolExecutor(count)
    futures: dict[int, Future] = {}
    for index in (index for index in range(count) if index not in absent):
        if index:
            futures[index] = pool.submit(connections.worker, ("127.0.0.1", port), index, count, timeout=timeout)
        else:
            futures[0] = pool.submit(connections.chief, port, count, timeout=timeout, begin=begin)
    pool.shutdown(wait=False)
    return futures


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    """Ends what a test has begun."""
    made: list[connections.Connections] = []
    first = connections.Connections.__init__

    def init(self, *arguments) -> None:
        made.append(self)
        first(self, *arguments)

    monkeypatch.setattr(connections.Connections, "__init__", init)
    yield
    for each in made:
        for connection in each._sockets.values():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        assert each.is_lost_within(5) or each._ended
        for connection in each._sockets.values():
            connection.close()


@pytest.fixture
def three() -> list[connections.Connections]:
    joined = [future.result(10) for future in start(3).values()]
    assert [common for _, common in joined] == [b"begin"] * 3
    return [connection for connection, _ in joined]


def in_all(workers, action: Callable) -> list:
    """What each worker's action gives, all at the same time."""
    with ThreadPoolExecutor(len(workers)) as pool:
        return [future.result(10) for future in [pool.submit(action, worker) for worker in workers]]


def test_they_tell_one_another_what_they_must(three):
    message = bytes(range(256)) * 20_000  # more than a socket takes at once
    for sent in (b"", b"x", message):
        told = in_all(three, lambda worker, sent=sent: worker.broadcast(sent if worker.index == 0 else b"nothing"))
        assert told == [sent] * 3
    values = {0: [1.0, -2.0, 0.5], 1: [0.0, float("inf"), 0.5], 2: [-1.0, 0.0, 2.0**53]}
    assert in_all(three, lambda worker: worker.maximum(values[worker.index])) == [[1.0, float("inf"), 2.0**53]] * 3


@pytest.mark.parametrize("gone", [0, 1])
def test_one_that_is_gone_is_named_to_all_others_at_once(three, gone):
    told: list[str] = []
    others = [worker for worker in three if worker.index != gone]
    for worker in others:
        worker.when_lost(told.append)
    three[gone].lost = "dead"  # so that it tells nobody
    for connection in three[gone]._sockets.values():
        connection.shutdown(socket.SHUT_RDWR)  # as the system does for a process that was killed
    began = time.monotonic()
    for worker in others:
        with pytest.raises(WorkerLostError, match=f"^worker {gone} is gone: its connection has ended$"):
            worker.maximum([1.0])
    assert time.monotonic() - began < 5
    assert all(worker.is_lost_within(0) for worker in others)
    while len(told) < 2 and time.monotonic() - began < 5:
        time.sleep(0.01)
    assert told == [f"worker {gone} is gone: its connection has ended"] * 2


def test_one_that_is_silent_is_lost(monkeypatch):
    monkeypatch.setattr(connections, "SILENCE", 0.5)
    monkeypatch.setattr(connections, "BEAT_EVERY", 10.0)
    chief, worker = (future.result(10)[0] for future in start(2).values())
    assert chief.is_lost_within(5) and worker.is_lost_within(5)
    with pytest.raises(WorkerLostError, match="worker 1 has given no sign of life for 0.5 s"):
        chief.maximum([0.0])


def test_beats_keep_a_connection(monkeypatch):
    monkeypatch.setattr(connections, "SILENCE", 0.5)
    monkeypatch.setattr(connections, "BEAT_EVERY", 0.1)
    joined = [future.result(10)[0] for future in start(2).values()]
    assert not joined[0].is_lost_within(1.0) and joined[1].lost is None


def test_one_that_has_done_its_part_is_not_missed():
    chief, worker = (future.result(10)[0] for future in start(2).values())
    assert in_all([chief, worker], lambda one: one.maximum([1.0])) == [[1.0]] * 2
    worker.close()
    assert not chief.is_lost_within(0.3)
    with pytest.raises(WorkerLostError, match="^worker 1 has ended$"):  # unless something is wanted from it
        chief.maximum([1.0])


def test_one_that_failed_is_lost_but_what_it_said_before_is_heard(three):
    chief, one, two = three
    two._tell(0, connections.MESSAGE, b"last words")
    two.close(failed=True)
    assert chief.is_lost_within(5) and one.is_lost_within(5)
    assert chief._take(2) == b"last words"
    with pytest.raises(WorkerLostError, match="^worker 2 has ended with an error$"):
        one.broadcast(None)


def test_those_that_do_not_come_are_named_to_all():
    futures = start(4, timeout=1.0, absent=(1, 3))
    for future in futures.values():
        with pytest.raises(TimeoutError, match="^workers 1, 3 did not join within 1 s; joined: 0, 2. Start them, or"):
            future.result(10)


def test_a_chief_that_does_not_come_is_named():
    [future] = start(2, timeout=0.7, absent=(0,)).values()
    with pytest.raises(TimeoutError, match="^worker 0 .127.0.0.1:.*, Connection refused. did not join within 0.7 s"):
        future.result(10)


def test_a_chief_that_comes_late_is_waited_for():
    [port] = free_ports(1)
    with ThreadPoolExecutor(2) as pool:
        worker = pool.submit(connections.worker, ("127.0.0.1", port), 1, 2, timeout=10)
        time.sleep(0.5)
        chief = pool.submit(connections.chief, port, 2, timeout=10, begin=lambda: b"now")
        assert worker.result(10)[1] == chief.result(10)[1] == b"now"


@pytest.mark.parametrize(
    ("index", "count", "told"),
    [
        (1, 3, "worker 0 refuses worker 1: it counts 3 workers, worker 0 2"),
        (2, 2, "worker 0 refuses worker 2: its index must be below 2"),
    ],
)
def test_one_that_does_not_belong_is_refused_and_the_others_are_waited_for(index, count, told):
    [port] = free_ports(1)
    with ThreadPoolExecutor(3) as pool:
        chief = pool.submit(connections.chief, port, 2, timeout=10, begin=lambda: b"")
        stranger = pool.submit(connections.worker, ("127.0.0.1", port), index, count, timeout=5)
        with pytest.raises(ValueError, match=told):
            stranger.result(10)
        for noise in (b"GET / HTTP/1.1\r\n\r\n", connections.HEADER.pack(b"H", 3) + b"{}x"):
            with socket.create_connection(("127.0.0.1", port)) as caller:
                caller.sendall(noise)
        connections.worker(("127.0.0.1", port), 1, 2, timeout=10)
        chief.result(10)


def test_a_second_worker_of_an_index_is_refused():
    [port] = free_ports(1)
    said = json.dumps({"index": 1, "count": 3}).encode()
    with ThreadPoolExecutor(2) as pool:
        chief = pool.submit(connections.chief, port, 3, timeout=2, begin=lambda: b"")
        with _called(port) as first:
            connections._send(first, connections.HELLO, said)
            time.sleep(0.2)
            with pytest.raises(ValueError, match="worker 0 refuses worker 1: there is another worker 1"):
                connections.worker(("127.0.0.1", port), 1, 3, timeout=5)
        with pytest.raises(TimeoutError, match="worker 2 did not join"):
            chief.result(10)


def _called(port: int) -> socket.socket:
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            time.sleep(0.05)


def test_a_port_in_use_is_named():
    [port] = free_ports(1)
    with (
        socket.create_server(("", port)),
        pytest.raises(OSError, match=f"worker 0 cannot listen on its port {port}: Address already in use.*End the"),
    ):
        connections.chief(port, 2, timeout=1, begin=lambda: b"")


def test_what_fails_at_the_beginning_leaves_no_thread_waiting():
    def begin() -> bytes:
        raise OSError("no service")

    futures = start(2, timeout=2.0, begin=begin)
    with pytest.raises(OSError, match="no service"):
        futures[0].result(10)
    with pytest.raises(ValueError, match="no service"):
        futures[1].result(10)
