"""A process of a training on JAX of several; prints what it came to as JSON.

python two_processes.py NETWORK ITERATIONS [INDEX OF THE ONE THAT KILLS ITSELF]
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys

import numpy as np

import small_trainings
from keras_resnet.data.datasets import loading
from keras_resnet.optimization import losses
from keras_resnet.training.backend import WorkerLostError, on_chief
from keras_resnet.training.jax.backend import JaxBackend
from keras_resnet.training.jax.processes import MeshProcesses

RATE = np.float32(3e-4)
OPTIONS = {
    "global_clipnorm": 1.0,
    "ema_momentum": 0.9,
    "loss": functools.partial(losses.cross_entropy, smoothing=0.1),
}


def told(processes: MeshProcesses) -> list:
    """What processes tell one another."""
    messages = [b"", bytes(range(256)) * 10_000]
    received = [processes.broadcast(message if processes.is_chief else None) == message for message in messages]
    largest = processes.maximum([3.0, -1.0, 2.0**53] if processes.is_chief else [-3.0, float("inf"), 0.0])
    try:
        on_chief(processes, refuse)
    except (ValueError, OSError) as error:
        return [*received, largest == [3.0, float("inf"), 2.0**53], f"{type(error).__name__}: {error}"]
    return []


def refuse() -> None:
    raise FileExistsError("it is there")


def main(network: str, iterations: str, killed: str = "") -> None:
    processes = JaxBackend.connect(strategy="multi_process", replicas=None, global_batch_size=16, timeout=60.0)
    answer = {"chief": processes.is_chief, "count": processes.count, "replicas": processes.replicas}
    with processes.naming_lost_workers():
        answer["told"] = told(processes)
        made = small_trainings.backend(JaxBackend, processes, getattr(small_trainings, network), **OPTIONS)
        run = made.start(0, steps_per_execution=int(iterations))
        trajectory, misclassified = run(np.full(int(iterations), RATE))
        if killed and processes.is_chief == (killed == "0"):
            os.kill(os.getpid(), signal.SIGKILL)
        if killed:
            with processes.naming_lost_workers():
                for _ in range(1000):
                    run(np.full(2, RATE))
        values = made.read()
        with made.evaluation_weights():
            measured = made.evaluate(loading.load("digits").validation.part(0, 45))
        answer |= {"losses": trajectory.tolist(), "misclassified": misclassified.tolist(), "error": measured.top1_error}
        answer |= {"images": measured.images, "statistics": values.get("model/bn/moving_mean", np.zeros(0)).tolist()}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (WorkerLostError, TimeoutError) as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        sys.exit(75)
