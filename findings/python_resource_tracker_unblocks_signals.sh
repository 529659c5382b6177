#!/usr/bin/env bash
# What most expect: a mask of signals that a program set (`signal.pthread_sigmask`) stays until the program changes it.
# What happens: the first `SharedMemory`, and the first process or lock of a "spawn" or "forkserver" context, starts Python's
#   resource tracker, which blocks SIGINT and SIGTERM while it starts and then unblocks both, whether or not they were blocked
#   before. A signal that waited is delivered there and then, in the middle of that call.
# Versions: CPython 3.11.7, 3.12.1 and 3.13.0 on Linux; this runs the `python3` that is there, and needs no package.
#   CPython's issue 127586 was closed with a change that keeps the mask, in later versions.
# Source: Lib/multiprocessing/resource_tracker.py, `ensure_running`, which does not keep the mask that it replaces.
# Consequence: a training that holds SIGTERM back while it writes a checkpoint, or that lets one thread of its own take signals
#   by `sigwait`, loses its mask when a data loader starts workers. Start the tracker first
#   (`multiprocessing.resource_tracker.ensure_running()`), and set the mask after it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/mask.py" <<'PYTHON'
import multiprocessing
import platform
import signal
import sys
from multiprocessing import resource_tracker, shared_memory

STOPS = {signal.SIGINT, signal.SIGTERM}
got = []


def blocked():
    return sorted(one.name for one in signal.pthread_sigmask(signal.SIG_BLOCK, []))


def work(what):
    """The blocked signals before and after the call of what, and how many were delivered in it, with one that waits."""
    got.clear()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS | {signal.SIGUSR1})
    signal.raise_signal(signal.SIGTERM)
    before = blocked()
    what()
    after, delivered = blocked(), len(got)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    return before, after, delivered


def share():
    block = shared_memory.SharedMemory(create=True, size=64)
    block.close()
    block.unlink()


signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
if sys.argv[1] == "started first":
    resource_tracker.ensure_running()
before, after, delivered = work({"lock": multiprocessing.get_context("spawn").Lock}.get(sys.argv[1], share))
print(f"Python {platform.python_version()}, {sys.argv[1]}: blocked {before}, then {after}; {delivered} delivered meanwhile")
lost = after == ["SIGUSR1"] and delivered == 1
kept = after == before and delivered == 0
sys.exit(0 if (kept if sys.argv[1] == "started first" else lost) else 1)
PYTHON
for case in "shared memory" "lock" "started first"; do
    python3 "$folder/mask.py" "$case"
done
