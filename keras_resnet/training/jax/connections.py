"""Connections between the processes of a training: who came, who is still there, and what they tell one another.

JAX's own service ends every process with an abort when another one does not come or is lost. So processes meet here
first, and JAX learns of the others only when all are there.

Worker 0 listens, every other worker has one connection to it. A frame is its kind, one byte; its length, eight; and its
content. Each side sends a beat now and then, and takes the other for lost when the connection ends or stays silent.
"""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence

from keras_resnet.host import addresses
from keras_resnet.training.backend import WorkerLostError

HELLO, GO, REFUSED, BEAT, MESSAGE, LOST, END = b"H", b"G", b"R", b"B", b"M", b"L", b"E"
"""Kinds of frames: a worker's index and number of workers; what all of them begin with; why they do not; nothing;
what is told; which worker is gone; nothing, of a worker that has done its part."""

HEADER = struct.Struct("!cQ")
ENDED = "is gone: its connection has ended"
BEAT_EVERY = 2.0  # seconds
SILENCE = 60.0  # seconds without a frame, after which a worker is taken for lost
PAUSE = 0.2  # seconds between two calls to a worker that does not listen yet


def chief(port: int, count: int, *, timeout: float, begin: Callable[[], bytes]) -> tuple[Connections, bytes]:
    """Waits, as worker 0, for the others.

    Args:
        port: To listen on, on all interfaces.
        count: Number of workers, worker 0 included.
        timeout: Seconds to wait for all of them.
        begin: Called when all are there; gives what every worker begins with.

    Returns:
        (connections, what `begin` gave).

    Raises:
        TimeoutError: if workers do not come, naming them; the others raise it too.
        OSError: if the port is in use.
    """
    deadline = time.monotonic() + timeout
    joined: dict[int, socket.socket] = {}
    with _listen(port) as listener:
        while len(joined) < count - 1 and (left := deadline - time.monotonic()) > 0:
            listener.settimeout(left)
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                _admit(connection, joined, count)
    try:
        if missing := [index for index in range(1, count) if index not in joined]:
            raise TimeoutError(absence(missing, sorted({0, *joined}), timeout))
        common = begin()
    except OSError as error:
        for connection in joined.values():
            with contextlib.suppress(OSError), connection:
                _send(connection, REFUSED, str(error).encode())
        raise
    for connection in joined.values():
        _send(connection, GO, common)
    return Connections(0, joined), common


def worker(address: tuple[str, int], index: int, count: int, *, timeout: float) -> tuple[Connections, bytes]:
    """Joins worker 0, and waits until all have.

    Args:
        address: Host and port of worker 0.
        index: Of this worker, at least 1.
        count: Number of workers.
        timeout: Seconds to wait for worker 0, and as many again for the others.

    Returns:
        (connections, what worker 0 gives to all).

    Raises:
        TimeoutError: if worker 0 or another does not come, naming it.
        ValueError: if worker 0 refuses this one.
    """
    deadline, reason = time.monotonic() + timeout, "not called yet"
    while (left := deadline - time.monotonic()) > 0:
        try:
            connection = socket.create_connection(address, min(left, 10.0))
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            time.sleep(PAUSE)
            continue
        try:
            _send(connection, HELLO, json.dumps({"index": index, "count": count}).encode())
            connection.settimeout(max(left, PAUSE))
            kind, content = _receive(connection)
            if kind == BEAT:
                connection.settimeout(timeout + SILENCE)
                kind, content = _receive(connection)
        except TimeoutError:
            reason = "no answer: another program has its port"
            connection.close()
            continue
        except OSError as error:  # a proxy that accepts for a worker that is not there, or one that has ended
            reason = error.strerror or str(error)
            connection.close()
            time.sleep(PAUSE)
            continue
        if kind == GO:
            return Connections(index, {0: connection}), content
        connection.close()
        refusal = content.decode(errors="replace")
        raise TimeoutError(refusal) if "did not join" in refusal else ValueError(refusal)
    raise TimeoutError(absence([0], [index], timeout, f"{address[0]}:{address[1]}, {reason}"))


def absence(missing: Sequence[int], joined: Sequence[int], timeout: float, why: str = "") -> str:
    """The error that names the workers that did not join, and those that did."""
    names, one = ", ".join(map(str, missing)), len(missing) == 1
    return (
        f"{'worker' if one else 'workers'} {names}{f' ({why})' if why else ''} did not join within {timeout:g} s; "
        f"joined: {', '.join(map(str, joined))}. Start {'it' if one else 'them'}, or check that every worker has the "
        "same address of worker 0, which all can reach, the same number of workers, and an index of its own"
    )


class Connections:
    """One process's connections: all of worker 0's, or that to worker 0.

    Args:
        index: Of this worker.
        sockets: By the index of the other.
    """

    def __init__(self, index: int, sockets: dict[int, socket.socket]):
        self.index = index
        self.lost: str | None = None
        """Which worker is gone, in words."""
        self._sockets = sockets
        self._ended: set[int] = set()
        self._received: dict[int, queue.SimpleQueue[bytes]] = {other: queue.SimpleQueue() for other in sockets}
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._when_lost: Callable[[str], None] = lambda lost: None
        for other, connection in sockets.items():
            connection.settimeout(SILENCE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._listen_to, args=[other], daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()

    def broadcast(self, message: bytes | None) -> bytes:
        """The message of worker 0, in every process.

        Raises:
            WorkerLostError: if a worker is gone.
        """
        if self.index:
            return self._take(0)
        for other in self._sockets:
            self._tell(other, MESSAGE, message or b"")
        return message or b""

    def maximum(self, values: Sequence[float]) -> list[float]:
        """The largest value of all processes, element by element; every process gives as many.

        Raises:
            WorkerLostError: if a worker is gone.
        """
        form = struct.Struct(f"!{len(values)}d")
        mine = form.pack(*values)
        if self.index:
            self._tell(0, MESSAGE, mine)
            return list(form.unpack(self._take(0)))
        rows = [values, *(form.unpack(self._take(other)) for other in self._sockets)]
        largest = [float(max(column)) for column in zip(*rows, strict=True)]
        self.broadcast(form.pack(*largest))
        return largest

    def when_lost(self, action: Callable[[str], None]) -> None:
        """Sets what to do, in a thread of its own, once a worker is gone; at once if one is."""
        with self._changed:
            self._when_lost, lost = action, self.lost
        if lost is not None:
            threading.Thread(target=action, args=[lost], daemon=True).start()

    def is_lost_within(self, seconds: float) -> bool:
        """Whether a worker is known to be gone, now or some seconds later."""
        with self._changed:
            return self._changed.wait_for(lambda: self.lost is not None, seconds)

    def close(self, *, failed: bool = False) -> None:
        """Tells the others that this process has done its part, or that it is gone."""
        text = f"worker {self.index} has ended with an error"
        for other, connection in self._sockets.items():
            with contextlib.suppress(OSError, WorkerLostError):
                self._tell(other, LOST if failed else END, text.encode())
                connection.shutdown(socket.SHUT_WR)

    def _take(self, other: int) -> bytes:
        """The next message of a worker."""
        with self._changed:
            self._changed.wait_for(lambda: not self._received[other].empty() or other in self._ended or self.lost)
            if self._received[other].empty():
                raise WorkerLostError(self.lost or f"worker {other} has ended")
            return self._received[other].get()

    def _tell(self, other: int, kind: bytes, content: bytes) -> None:
        try:
            with self._sending:
                _send(self._sockets[other], kind, content)
        except OSError as error:
            ended = isinstance(error, ConnectionError)
            why = ENDED if ended else f"cannot be reached: {error.strerror or error}"
            self._lose(f"worker {other} {why}")
            raise WorkerLostError(str(self.lost)) from error

    def _listen_to(self, other: int) -> None:
        """Takes what a worker sends until its connection ends."""
        while True:
            try:
                kind, content = _receive(self._sockets[other])
            except TimeoutError:
                return self._lose(f"worker {other} has given no sign of life for {SILENCE:g} s")
            except OSError:
                return self._lose(f"worker {other} {ENDED}")
            if kind == MESSAGE:
                with self._changed:
                    self._received[other].put(content)
                    self._changed.notify_all()
            elif kind == LOST:
                return self._lose(content.decode(errors="replace"))
            elif kind == END:
                with self._changed:
                    self._ended.add(other)
                    self._changed.notify_all()
                return None

    def _lose(self, text: str) -> None:
        """Notes that a worker is gone, and tells the others."""
        with self._changed:
            if self.lost is not None:
                return
            self.lost, action = text, self._when_lost
            self._changed.notify_all()
        if not self.index:
            for other in self._sockets:
                with contextlib.suppress(OSError, WorkerLostError):
                    self._tell(other, LOST, text.encode())
        action(text)

    def _beat(self) -> None:
        while self.lost is None:
            time.sleep(BEAT_EVERY)
            for other in self._sockets:
                with contextlib.suppress(OSError), self._sending:
                    _send(self._sockets[other], BEAT, b"")


def _listen(port: int) -> socket.socket:
    try:
        return addresses.server(port)
    except OSError as error:
        raise OSError(
            f"worker 0 cannot listen on its port {port}: {error.strerror}. End the program that listens there, perhaps "
            "an earlier run that has not ended, or give all workers another port"
        ) from error


def _admit(connection: socket.socket, joined: dict[int, socket.socket], count: int) -> None:
    """Takes a caller in if it is one of the workers."""
    connection.settimeout(10.0)
    try:
        kind, content = _receive(connection)
        said = json.loads(content) if kind == HELLO else {}
        index, of = said["index"], said["count"]
    except (OSError, ValueError, KeyError, TypeError):
        connection.close()
        return
    why = ""
    if of != count:
        why = f"it counts {of} workers, worker 0 {count}"
    elif index not in range(1, count) or index in joined:
        why = f"there is another worker {index}" if index in joined else f"its index must be below {count}"
    if why:
        with contextlib.suppress(OSError), connection:
            _send(connection, REFUSED, f"worker 0 refuses worker {index}: {why}".encode())
        return
    with contextlib.suppress(OSError):
        _send(connection, BEAT, b"")
    joined[index] = connection


def _send(connection: socket.socket, kind: bytes, content: bytes) -> None:
    connection.sendall(HEADER.pack(kind, len(content)))
    connection.sendall(content)


def _receive(connection: socket.socket) -> tuple[bytes, bytes]:
    kind, length = HEADER.unpack(_read(connection, HEADER.size))
    return kind, _read(connection, length)


def _read(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(min(size - len(parts), 2**20))
        if not part:
            raise ConnectionError("the connection has ended")
        parts += part
    return bytes(parts)
