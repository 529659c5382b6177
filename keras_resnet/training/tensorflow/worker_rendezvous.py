"""Workers wait for one another before TensorFlow does.

`tf.distribute.MultiWorkerMirroredStrategy` waits, for a very long time, until every worker of its list has started, and
does not say for whom. Here the wait has an end, and the end has names.
"""

from __future__ import annotations

import contextlib
import errno
import re
import socket
import threading
import time
import zlib
from collections.abc import Sequence

from keras_resnet import validation
from keras_resnet.host import addresses as hosts

PREFIX = b"keras_resnet worker "
GREETING = re.compile(rb"keras_resnet worker (\d{1,6}) to worker (\d{1,6}), list ([0-9a-f]{8})\n")
LONGEST = 80  # bytes, more than any greeting has
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between two calls to a worker; doubled each time
PATIENCE = 2.0  # seconds for one connection, and for one answer
GLANCE = 0.05  # seconds after which a thread that waits for bytes looks whether the wait is over


def wait_for_workers(addresses: Sequence[str], index: int, *, timeout: float = 300.0) -> None:
    """Returns when every worker of the list has been met, or raises an error that names those that did not come.

    Every worker calls it with the same list, before TensorFlow starts its own server on the same port. It listens on
    its port and calls the others until each has been met. A meeting is one connection, in either direction: the caller
    says `keras_resnet worker 1 to worker 0, list 5e0b21fc`, and is answered in the same form. Both have then met, so
    nobody needs to stay for a second meeting in the other direction, and nobody who leaves is missed by one who stays:

    - If A called B and was answered, B has read who called before it answered.
    - If A was called by B and has left, B reads the answer that A gave before it left.
    - Later callers find TensorFlow's server on the port of A. It answers something else, or, if it is like no
      TensorFlow of today, nothing for two seconds: that is a worker that has met everybody, and one that comes late, or
      comes again, does not wait for it. The call may also have reached a worker that is too busy to answer, and will
      read the greeting later.

    A connection that is closed before a word is said has met nobody, so that a proxy that accepts calls for a worker
    that is not there does not count. Nor does a worker that has another list (compared by its CRC-32), or that answers
    at the address of another. A host name that is unknown yet is looked up again. Whoever else connects, and says
    something else or nothing, is let go.

    This is no barrier: a worker that dies after it was met is not noticed here.

    Args:
        addresses: The workers as `"host:port"`, or `"[address]:port"` for IPv6, in an order on which all agree.
        index: Which of them calls, from 0. Its port is listened on, on all interfaces; its host is not read.
        timeout: Seconds to wait for all the others together.

    Raises:
        TimeoutError: if a worker was not met in time.
        OSError: if the worker's own port is in use, or not allowed.
        ValueError: if an argument makes no sense.
    """
    endpoints = [endpoint(address) for address in addresses]
    if repeated := sorted({address for address in addresses if list(addresses).count(address) > 1}):
        validation.refuse("addresses", "different from one another", repeated)
    if not 0 <= index < len(addresses):
        validation.refuse("index", f"at least 0 and below the {len(addresses)} workers", index)
    validation.positive("timeout", timeout)
    agreed = zlib.crc32("\n".join(addresses).encode())
    meeting = Meeting(endpoints, index, agreed, patience=min(PATIENCE, timeout / 4))
    if missing := meeting.hold(timeout):
        raise TimeoutError(absence(addresses, index, missing, timeout))


def endpoint(address: str) -> tuple[str, int]:
    """The host and the port of `"host:port"` or `"[address]:port"`."""
    found = hosts.endpoint(address)
    if found is None:
        validation.refuse("addresses", "of the form host:port, such as 'node1:2222' or '[fd00::1]:2222'", address)
    return found


def absence(addresses: Sequence[str], index: int, missing: dict[int, str], timeout: float) -> str:
    """The error that names the workers that did not join, each with the last reason, and those that did."""
    absent = ", ".join(f"{worker} ({addresses[worker]}, {missing[worker]})" for worker in sorted(missing))
    joined = ", ".join(str(worker) for worker in range(len(addresses)) if worker not in missing)
    one = len(missing) == 1
    return (
        f"{'worker' if one else 'workers'} {absent} did not join within {timeout:g} s; joined: {joined}. "
        f"Start {'it' if one else 'them'}, or check that every worker has the same list of workers in the same order, "
        f"an index of its own (this one has {index}), and a port that the others can reach"
    )


def listen(port: int) -> socket.socket:
    """A socket that listens on a port of all interfaces, for IPv4 and for IPv6 where there is any."""
    try:
        return hosts.server(port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise OSError(f"this worker cannot listen on its port {port}: {error.strerror}") from error
        raise OSError(
            f"port {port} of this worker is in use on this host. End the program that listens there, perhaps an "
            f"earlier run that has not ended, or give the worker another port in every list of workers"
        ) from error


class Meeting:
    """One worker's meetings with all the others; `hold` is called once.

    Args:
        endpoints: Host and port of every worker.
        index: Which of them this one is.
        agreed: What stands for the list of workers, in 32 bits; those who have another do not meet.
        patience: Seconds for one connection, and for one answer.
    """

    def __init__(self, endpoints: Sequence[tuple[str, int]], index: int, agreed: int, patience: float) -> None:
        self.endpoints = endpoints
        self.index = index
        self.agreed = b"%08x" % agreed
        self.patience = patience
        self.missing = {worker: "not called yet" for worker in range(len(endpoints)) if worker != index}
        self.changed = threading.Condition()  # guards `missing`
        self.over = threading.Event()

    def hold(self, timeout: float) -> dict[int, str]:
        """Meets the others; returns those that were not met, with the last reason, when all were or the time is up."""
        threads = [threading.Thread(target=self.call_until_met, args=[worker], daemon=True) for worker in self.missing]
        with listen(self.endpoints[self.index][1]) as listener:
            # Nothing is accepted on the port, and no accepted connection is open, once this thread has ended.
            reception = threading.Thread(target=self.receive, args=[listener], daemon=True)
            try:
                for thread in [reception, *threads]:
                    thread.start()
                with self.changed:
                    self.changed.wait_for(lambda: not self.missing, timeout)
                    return dict(self.missing)
            finally:
                self.over.set()
                if reception.is_alive():
                    reception.join()

    def greeting(self, worker: int) -> bytes:
        """What this worker says to another."""
        return b"%s%d to worker %d, list %s\n" % (PREFIX, self.index, worker, self.agreed)

    def meet(self, worker: int) -> None:
        """Notes that a worker was met."""
        with self.changed:
            self.missing.pop(worker, None)
            self.changed.notify_all()

    def excuse(self, worker: int, reason: str) -> None:
        """Notes why a worker was not met, if it was not."""
        with self.changed:
            if worker in self.missing:
                self.missing[worker] = reason

    def receive(self, listener: socket.socket) -> None:
        """Accepts calls until the wait is over; each has a thread, so that one who says nothing delays nobody."""
        threads: list[threading.Thread] = []
        listener.settimeout(GLANCE)
        while not self.over.is_set():
            threads = [thread for thread in threads if thread.is_alive()]
            try:
                caller, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:  # the caller is gone again, or there are too many open files
                self.over.wait(GLANCE)
                continue
            threads.append(threading.Thread(target=self.answer, args=[caller], daemon=True))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def answer(self, caller: socket.socket) -> None:
        """Answers a call if it comes from a worker."""
        with contextlib.suppress(OSError), caller:
            if heard := GREETING.fullmatch(self.read(caller) or b""):
                worker, called = int(heard[1]), int(heard[2])
                if (called, heard[3]) == (self.index, self.agreed):
                    self.meet(worker)
                caller.settimeout(self.patience)
                caller.sendall(self.greeting(worker))

    def call_until_met(self, worker: int) -> None:
        """Calls a worker until it was met, in whichever direction, or the wait is over."""
        pause = SHORTEST_PAUSE
        while worker in self.missing and not self.over.is_set():
            try:
                reason = self.call(worker)
            except OSError as error:
                reason = error.strerror or str(error)
            except UnicodeError:  # a host name with a part that is empty or longer than 63 letters
                reason = "no valid host name"
            if reason is None:
                self.meet(worker)
            else:
                self.excuse(worker, reason)
                self.over.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def call(self, worker: int) -> str | None:
        """Calls a worker once; returns why that was no meeting, or None if it was."""
        with socket.create_connection(self.endpoints[worker], self.patience) as connection:
            connection.sendall(self.greeting(worker))
            answer = self.read(connection)
        if answer is None or (answer and not answer.startswith(PREFIX)):
            return None  # TensorFlow's server
        heard = GREETING.fullmatch(answer)
        if not heard:
            return "hung up"
        if heard[3] != self.agreed:
            return f"worker {int(heard[1])} answers there, with another list of workers"
        return None if int(heard[1]) == worker else f"worker {int(heard[1])} answers there"

    def read(self, connection: socket.socket) -> bytes | None:
        """Bytes until they are a greeting, or can be none, or the other side ends; None if nothing came in time."""
        received, deadline = b"", time.monotonic() + self.patience
        connection.settimeout(GLANCE)
        while time.monotonic() < deadline and not self.over.is_set():
            try:
                part = connection.recv(LONGEST)
            except TimeoutError:
                continue
            received += part
            plausible = received.startswith(PREFIX) or PREFIX.startswith(received)
            if not part or not plausible or received.endswith(b"\n") or len(received) >= LONGEST:
                return received
        return received or None
