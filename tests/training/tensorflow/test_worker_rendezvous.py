"""Workers meet over real sockets, or say who did not come."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from keras_resnet.training.tensorflow import worker_rendezvous
from keras_resnet.training.tensorflow.worker_rendezvous import wait_for_workers
from ports import free_ports

LONG = 60  # seconds that no test waits for
SOON = 5  # seconds, less than a quarter of LONG
SETTINGS = b"\x00\x00\x18\x04\x00\x00\x00\x00\x00\x00\x04"  # what TensorFlow's server says first


def local(ports: list[int]) -> list[str]:
    return [f"localhost:{port}" for port in ports]


def seconds(action: Callable[[], object]) -> float:
    start = time.monotonic()
    action()
    return time.monotonic() - start


@pytest.fixture
def patient(monkeypatch):
    """Whoever waits for an answer that does not come waits for long enough to be seen."""
    monkeypatch.setattr(worker_rendezvous, "PATIENCE", LONG / 4)


@contextlib.contextmanager
def server(port: int, behave: Callable[[socket.socket], object]) -> Iterator[None]:
    """A program other than a worker that accepts calls on a port."""
    with socket.create_server(("localhost", port)) as listener, contextlib.ExitStack() as callers:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    caller = callers.enter_context(listener.accept()[0])
                    behave(caller)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextlib.contextmanager
def caller(port: int, *parts: bytes) -> Iterator[socket.socket]:
    """Somebody who calls a port as soon as it answers, and says something in parts."""
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            connection = socket.create_connection(("localhost", port), LONG)
            break
        time.sleep(0.01)
    with connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.02)
        yield connection


def greeting(ports: list[int]) -> bytes:
    """What worker 1 says to worker 0."""
    return b"keras_resnet worker 1 to worker 0, list %08x\n" % zlib.crc32("\n".join(local(ports)).encode())


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_all_workers_join(workers):
    ports = free_ports(workers)
    with ThreadPoolExecutor(workers) as pool:
        waits = [pool.submit(wait_for_workers, local(ports), index, timeout=LONG) for index in range(workers)]
        assert seconds(lambda: [wait.result() for wait in waits]) < SOON
    for port in ports:  # free again, for TensorFlow
        socket.create_server(("", port)).close()


def test_processes_join():
    ports = free_ports(3)
    code = (
        "import sys\n"
        "from keras_resnet.training.tensorflow.worker_rendezvous import wait_for_workers\n"
        "wait_for_workers(sys.argv[2:], int(sys.argv[1]))"
    )
    workers = [subprocess.Popen([sys.executable, "-c", code, str(index), *local(ports)]) for index in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]


def test_a_worker_joins_late():
    ports = free_ports(3)
    with ThreadPoolExecutor(3) as pool:
        early = [pool.submit(wait_for_workers, local(ports), index, timeout=LONG) for index in (0, 2)]
        time.sleep(0.5)
        assert not any(wait.done() for wait in early)
        assert seconds(lambda: wait_for_workers(local(ports), 1, timeout=LONG)) < SOON
        assert seconds(lambda: [wait.result() for wait in early]) < SOON


def test_a_worker_that_never_joins_is_named_to_all():
    addresses = local(free_ports(3))
    with ThreadPoolExecutor(2) as pool:
        start = time.monotonic()
        errors = [pool.submit(wait_for_workers, addresses, index, timeout=0.8).exception for index in (0, 1)]
        for error in errors:
            assert isinstance(error(), TimeoutError)
            assert str(error()).startswith(
                f"worker 2 ({addresses[2]}, Connection refused) did not join within 0.8 s; joined: 0, 1. Start it, or "
            )
        assert 0.8 <= time.monotonic() - start < SOON


def test_every_worker_that_is_missing_is_named():
    addresses = local(free_ports(3))
    expected = rf"workers 0 \({addresses[0]}, .*\), 2 \({addresses[2]}, .*\) did not join .*; joined: 1. Start them"
    with pytest.raises(TimeoutError, match=expected):
        wait_for_workers(addresses, 1, timeout=0.3)


def test_one_direction_is_enough(monkeypatch):
    addresses = local(free_ports(2))
    connect = socket.create_connection

    def one_way(endpoint, *arguments):
        if f"{endpoint[0]}:{endpoint[1]}" == addresses[0]:
            raise TimeoutError("a firewall")
        return connect(endpoint, *arguments)

    monkeypatch.setattr(socket, "create_connection", one_way)
    with ThreadPoolExecutor(1) as pool:
        called = pool.submit(wait_for_workers, addresses, 1, timeout=LONG)
        wait_for_workers(addresses, 0, timeout=LONG)
        called.result(LONG)


STRANGERS = {
    "nothing": [],
    "part of a greeting": [b"keras_resnet wor"],
    "a request": [b"GET / HTTP/1.1\r\n\r\n"],
    "garbage": [bytes(range(256)) * 8],
    "an endless line": [worker_rendezvous.PREFIX + b"1" * 2000],
    "no number": [b"keras_resnet worker one to worker zero, list 00000000\n"],
    "another list": [b"keras_resnet worker 1 to worker 0, list 00000000\n"],
}


def test_strangers_are_nobody():
    own, other = free_ports(2)
    with ThreadPoolExecutor(1) as pool, contextlib.ExitStack() as stack:
        wait = pool.submit(wait_for_workers, local([own, other]), 0, timeout=1)
        for parts in STRANGERS.values():
            stack.enter_context(caller(own, *parts))
        with pytest.raises(TimeoutError, match=f"worker 1 .localhost:{other}, Connection refused. did not join"):
            wait.result()


def test_strangers_delay_nobody(patient):
    own, other = free_ports(2)
    with ThreadPoolExecutor(1) as pool, contextlib.ExitStack() as stack:
        wait = pool.submit(wait_for_workers, local([own, other]), 0, timeout=LONG)
        for parts in list(STRANGERS.values()) * 5:
            stack.enter_context(caller(own, *parts))
        for _ in range(5):  # fresh ones, who say nothing
            stack.enter_context(caller(own))
        worker = stack.enter_context(caller(own, greeting([own, other])))
        assert seconds(lambda: worker.recv(100)) < SOON
        assert seconds(wait.result) < SOON


def test_who_says_something_else_is_let_go_at_once(patient):
    own, other = free_ports(2)
    with ThreadPoolExecutor(1) as pool:
        wait = pool.submit(wait_for_workers, local([own, other]), 0, timeout=LONG)
        for stranger in ("a request", "garbage", "an endless line", "no number"):
            with caller(own, *STRANGERS[stranger]) as connection, contextlib.suppress(ConnectionResetError):
                assert seconds(lambda: connection.recv(100)) < SOON, stranger
        with caller(own, greeting([own, other])):
            wait.result(LONG)


def test_a_greeting_may_come_in_parts():
    own, other = free_ports(2)
    with ThreadPoolExecutor(1) as pool:
        wait = pool.submit(wait_for_workers, local([own, other]), 0, timeout=LONG)
        said = greeting([own, other])
        with caller(own, said[:5], said[5:25], said[25:-1], said[-1:]) as connection:
            assert connection.recv(100) == said.replace(b"1 to worker 0", b"0 to worker 1")
        wait.result(LONG)


def test_a_late_worker_does_not_wait_for_those_who_have_started_tensorflow(patient):
    ports = free_ports(3)
    with server(ports[0], lambda call: call.sendall(SETTINGS)), server(ports[1], lambda call: call.sendall(SETTINGS)):
        assert seconds(lambda: wait_for_workers(local(ports), 2, timeout=LONG)) < SOON


def test_a_server_that_only_listens_has_joined(monkeypatch):
    monkeypatch.setattr(worker_rendezvous, "PATIENCE", 0.4)
    own, other = free_ports(2)
    for timeout in (LONG, 1):  # with little time there is less patience
        with server(other, lambda call: None):
            assert seconds(lambda: wait_for_workers(local([own, other]), 0, timeout=timeout)) < SOON  # noqa: B023


def test_a_server_that_hangs_up_has_not_joined():
    own, other = free_ports(2)
    reason = r"worker 1 \(\S+, (hung up|Connection reset by peer)\)"
    with server(other, lambda call: call.close()), pytest.raises(TimeoutError, match=reason):
        wait_for_workers(local([own, other]), 0, timeout=0.5)


def test_a_worker_too_busy_to_answer_still_reads_who_called(monkeypatch):
    monkeypatch.setattr(worker_rendezvous, "PATIENCE", 0.2)
    own, other = free_ports(2)
    with socket.create_server(("localhost", other)) as busy:
        wait_for_workers(local([own, other]), 0, timeout=LONG)
        with busy.accept()[0] as call:
            assert call.recv(100).startswith(b"keras_resnet worker 0 to worker 1, list ")


@pytest.mark.parametrize("other", [[0, 2, 1], [0, 1]], ids=["another order", "another length"])
def test_another_list_of_workers_is_found_out(other):
    addresses = local(free_ports(3))
    reason = rf"worker.* 0 \({addresses[0]}, worker 0 answers there, with another list of workers\)"
    with ThreadPoolExecutor(2) as pool:
        different = pool.submit(wait_for_workers, [addresses[worker] for worker in other], 0, timeout=1.0)
        same = pool.submit(wait_for_workers, addresses, 2, timeout=1.0)
        with pytest.raises(TimeoutError, match=reason):
            wait_for_workers(addresses, 1, timeout=0.6)
        assert isinstance(different.exception(), TimeoutError)
        assert isinstance(same.exception(), TimeoutError)


def test_workers_at_the_addresses_of_others_are_found_out():
    """As tasks 0, 1, 2 of Slurm on n[9-11], whose names TensorFlow sorts as n10, n11, n9."""
    ports = free_ports(3)

    def misplaced(index):
        endpoints = [("localhost", port) for port in ports]
        endpoints[index] = endpoints[index - 1]  # it listens where the others look for the one before it
        return worker_rendezvous.Meeting(endpoints, index, 0, patience=1).hold(1)

    with ThreadPoolExecutor(3) as pool:
        missing = [wait.result() for wait in [pool.submit(misplaced, index) for index in range(3)]]
    assert missing[0] == {1: "worker 2 answers there", 2: "worker 0 answers there"}
    assert [len(others) for others in missing] == [2, 2, 2]


def test_a_host_name_that_becomes_known_late_is_found(monkeypatch):
    own, other = free_ports(2)
    look_up, failures = socket.getaddrinfo, iter(range(3))

    def slow(host, *arguments, **keywords):
        if host == "worker-1.late" and next(failures, None) is not None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up("localhost" if host == "worker-1.late" else host, *arguments, **keywords)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with server(other, lambda call: call.sendall(SETTINGS)):
        wait_for_workers([f"localhost:{own}", f"worker-1.late:{other}"], 0, timeout=LONG)
    assert next(failures, None) is None


@pytest.mark.parametrize(("host", "reason"), [("no.invalid", ".+"), ("a..b", "no valid host name")])
def test_a_host_name_that_stays_unknown_is_named_with_the_reason(host, reason):
    [own] = free_ports(1)
    with pytest.raises(TimeoutError, match=rf"worker 1 \({host}:2222, {reason}\) did not join"):
        wait_for_workers([f"localhost:{own}", f"{host}:2222"], 0, timeout=0.5)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_addresses_of_both_families(host):
    if host == "[::1]" and not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 on this host")
    addresses = [f"{host}:{port}" for port in free_ports(2)]
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(wait_for_workers, addresses, 1, timeout=LONG)
        wait_for_workers(addresses, 0, timeout=LONG)
        other.result(LONG)


@pytest.mark.parametrize("host", ["", "127.0.0.1"])
def test_a_port_in_use_is_named(host):
    ports = free_ports(2)
    expected = f"^port {ports[0]} of this worker is in use on this host. End the program"
    with socket.create_server((host, ports[0])), pytest.raises(OSError, match=expected):
        wait_for_workers(local(ports), 0, timeout=LONG)


def test_a_port_that_may_not_be_listened_on_is_named(monkeypatch):
    def refuse(*arguments, **keywords):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(OSError, match="^this worker cannot listen on its port 22: Permission denied$"):
        wait_for_workers(["localhost:22"], 0)


@pytest.mark.parametrize(
    ("addresses", "index", "timeout", "expected"),
    [
        (["a:1", "b:1"], 2, 1, "`index` must be at least 0 and below the 2 workers. Received: index=2"),
        (["a:1", "b:1"], -1, 1, "`index` must be at least 0 and below the 2 workers. Received: index=-1"),
        (["a:1", "b:1"], 0, 0, "`timeout` must be positive. Received: timeout=0"),
        (["a:1", "b:1", "a:1"], 0, 1, "`addresses` must be different from one another. Received: addresses=['a:1']"),
        (["a:1", "b"], 0, 1, "`addresses` must be of the form host:port, such as "),
        (["a:1", "b:0"], 0, 1, "Received: addresses='b:0'"),
        (["a:1", "b:65536"], 0, 1, "Received: addresses='b:65536'"),
        (["a:1", "grpc://b:1"], 0, 1, "Received: addresses='grpc://b:1'"),
        (["a:1", "::1:2222"], 0, 1, "Received: addresses='::1:2222'"),
        (["a:1", ":2222"], 0, 1, "Received: addresses=':2222'"),
    ],
)
def test_wrong_arguments_are_refused(addresses, index, timeout, expected):
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        wait_for_workers(addresses, index, timeout=timeout)
    assert expected in str(refused.value)
