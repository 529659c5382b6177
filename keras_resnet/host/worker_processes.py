"""Worker processes that a library starts by `multiprocessing`: apart from the program, and ended when it ends."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from multiprocessing import parent_process, resource_tracker, spawn
from threading import Lock, Thread
from typing import Any

_mains: dict[str, str] = {}
_lock = Lock()


def run_first(module: str, names: str) -> None:
    """Has new processes run a module where they would run the program that starts them.

    Every process that `multiprocessing` spawns imports the program's main module, and with it, in most programs, a
    framework: seconds, and memory of a GPU, for nothing where the work is pickled by value. Nor does a program need
    `if __name__ == "__main__":` then.

    Args:
        module: Run under the name `__mp_main__`.
        names: How the names of those processes begin.
    """
    with _lock:
        if not _mains:
            _choose_mains()
        _mains[names] = module


def _choose_mains() -> None:
    usual = spawn.get_preparation_data

    def prepare(name: str) -> dict[str, Any]:
        data = usual(name)
        for names, module in _mains.items():
            if name.startswith(names):
                data.pop("init_main_from_path", None)
                data["init_main_from_name"] = module
        return data

    spawn.get_preparation_data = prepare


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """While open, the threads and processes that this thread starts do not get Ctrl-C and SIGTERM.

    A terminal and many schedulers signal every process of a program; its main thread alone knows what to do.
    """
    # The first process of all brings this one, whose start lets both signals through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """Ends this process as soon as the one that started it is no more."""
    parent = parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=follow, daemon=True).start()
