"""Signals that ask a training to stop: noted once, then themselves again."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from keras_resnet.host.signals import SIGNALS, Stopped, noting_signals


@pytest.fixture
def usual() -> Iterator[list[int]]:
    """What arrives at the handlers that were there before, which end no process."""
    arrived: list[int] = []
    before = {number: signal.signal(number, lambda number, _: arrived.append(number)) for number in SIGNALS}
    yield arrived
    for number, handler in before.items():
        signal.signal(number, handler)


def handlers() -> list:
    return [signal.getsignal(number) for number in SIGNALS]


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def test_ctrl_c_and_sigterm_are_noted():
    assert set(SIGNALS) == {signal.SIGINT, signal.SIGTERM}


@pytest.mark.parametrize(("number", "name"), SIGNALS.items())
def test_a_signal_only_fills_the_list_and_says_so(usual, number, name):
    told = []
    with noting_signals(told.append) as received:
        assert received == []
        send(number)
        assert received == [number] and isinstance(received[0], signal.Signals)
    assert usual == []
    assert told == [f"{name}: stopping after this call; once more stops at once, without a checkpoint"]


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_the_second_acts_as_usual_whichever_was_first(usual, first, second):
    told = []
    with noting_signals(told.append) as received:
        send(first)
        send(second)
        assert usual == [second]
        assert received == [first]
    assert len(told) == 1


def test_the_handlers_come_back(usual):
    before = handlers()
    with noting_signals(print):
        assert handlers() != before
    assert handlers() == before


def test_the_handlers_come_back_after_an_error(usual):
    before = handlers()

    def fail():
        with noting_signals(print):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert handlers() == before


def test_signals_that_are_ignored_are_ignored_again(usual):
    """As under nohup."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with noting_signals(print):
        pass
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_thread_that_gets_no_signals_notes_none(usual):
    before, noted = handlers(), []

    def other():
        with noting_signals(print) as received:
            noted.append((received, handlers() == before))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert noted == [([], True)]


def test_who_was_stopped_knows_why():
    stop = Stopped("stopped after iteration 3", signal.SIGTERM)
    assert (str(stop), stop.reason) == ("stopped after iteration 3", signal.SIGTERM)
