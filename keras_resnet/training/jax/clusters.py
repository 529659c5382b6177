"""The processes of a training as the environment tells of them: by hand, Slurm, a JobSet, a TPU slice."""

from __future__ import annotations

import importlib.util
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from keras_resnet.host import addresses

PORT = 8476
"""Of worker 0, where nothing says another."""
BY_HAND = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
METADATA = "http://metadata.google.internal/computeMetadata/v1/instance/attributes/"


@dataclass(frozen=True)
class Place:
    """A process among those of a training.

    Args:
        address: Host and port of process 0.
        count: Number of processes.
        index: Of this one.
    """

    address: tuple[str, int]
    count: int
    index: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(
                f"The number of a process must be at least 0 and below the {self.count} processes. "
                f"Received: {self.index}"
            )


def by_hand(environment: Mapping[str, str]) -> Place | None:
    """As three variables tell: they differ between processes, so they are no part of a run."""
    if "JAX_COORDINATOR_ADDRESS" not in environment:
        return None
    address = environment["JAX_COORDINATOR_ADDRESS"]
    found = addresses.endpoint(address)
    if found is None:
        raise ValueError(
            "JAX_COORDINATOR_ADDRESS must be of the form host:port, such as 'node1:2222' or '[fd00::1]:2222'. "
            f"Received: {address}"
        )
    count, index = (_number(environment, name) for name in BY_HAND[1:])
    return Place(found, count, index)


def of_slurm(environment: Mapping[str, str]) -> Place | None:
    """The tasks of `srun`."""
    if int(environment.get("SLURM_STEP_NUM_TASKS", 1)) < 2:
        return None
    names = environment.get("SLURM_STEP_NODELIST", "")
    first = re.match(r"([^,\[]+)(?:\[(\w+))?", names)
    if not first:
        raise ValueError(f"SLURM_STEP_NODELIST must name the hosts of the tasks of srun. Received: {names!r}")
    # Another for each job, of those that the system does not give to callers.
    port = 20_000 + _number(environment, "SLURM_JOB_ID") % 10_000
    host = first[1] + (first[2] or "")
    return Place((host, port), _number(environment, "SLURM_STEP_NUM_TASKS"), _number(environment, "SLURM_PROCID"))


def of_job(environment: Mapping[str, str], name: Callable[[], str] = socket.getfqdn) -> Place | None:
    """The pods of a JobSet or of an indexed job, of which Kubernetes tells the index, and JAX_NUM_PROCESSES the rest.

    A pod's name, `SET-JOB-0-INDEX.SET.…`, is that of the first with another index.
    """
    if not {"JOB_COMPLETION_INDEX", "JAX_NUM_PROCESSES"} <= environment.keys():
        return None
    index = _number(environment, "JOB_COMPLETION_INDEX")
    pod, dot, domain = name().partition(".")
    if not pod.endswith(f"-{index}"):
        raise ValueError(
            f"The name of a pod must end in its index, {index}, as in a JobSet. Received: {pod}. "
            "Set JAX_COORDINATOR_ADDRESS and JAX_PROCESS_ID"
        )
    host = f"{pod.removesuffix(f'-{index}')}-0{dot}{domain}"
    return Place((host, PORT), _number(environment, "JAX_NUM_PROCESSES"), index)


def of_tpu(environment: Mapping[str, str]) -> Place | None:
    """The hosts of a TPU slice: from the variables of GKE, or else from the metadata of a TPU VM."""
    if "TPU_WORKER_HOSTNAMES" in environment:
        hosts = environment["TPU_WORKER_HOSTNAMES"].split(",")
        return Place((hosts[0], PORT), len(hosts), _number(environment, "TPU_WORKER_ID"))
    if not has_tpu(environment):
        return None
    endpoints, index = (_metadata(key) for key in ("worker-network-endpoints", "agent-worker-number"))
    if not endpoints or not index:
        return None
    hosts = [endpoint.split(":")[-1] for endpoint in endpoints.split(",")]
    return Place((hosts[0], PORT), len(hosts), int(index))


CLUSTERS: dict[str, Callable[[Mapping[str, str]], Place | None]] = {
    "addresses given by hand": by_hand,
    "a JobSet": of_job,
    "Slurm": of_slurm,
    "a TPU slice": of_tpu,
}
"""Where processes can be, from the environment to the place of this one; the first that there is counts."""


def find(environment: Mapping[str, str]) -> Place:
    """The place of this process.

    Raises:
        ValueError: if the environment tells nothing, or nonsense.
    """
    for tell in CLUSTERS.values():
        if place := tell(environment):
            return place
    raise ValueError(
        "The strategy 'multi_process' needs the environment variables JAX_COORDINATOR_ADDRESS (host:port of process "
        "0), JAX_NUM_PROCESSES and JAX_PROCESS_ID in every process, or to be started by Slurm's srun, in a JobSet or "
        "on the hosts of a TPU slice"
    )


def tells(environment: Mapping[str, str]) -> bool:
    """Whether the environment tells of other processes."""
    return any(tell(environment) for tell in CLUSTERS.values() if tell is not of_tpu)


def has_tpu(environment: Mapping[str, str], dev: Path = Path("/dev")) -> bool:
    """Whether this host has chips, and the library to use them."""
    if not importlib.util.find_spec("libtpu"):
        return False
    return "TPU_WORKER_HOSTNAMES" in environment or any(dev.glob("accel*")) or any(dev.glob("vfio/[0-9]*"))


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    if not re.fullmatch(r"\d{1,9}", text):
        raise ValueError(f"The environment variable {name} must be a whole number. Received: {text!r}")
    return int(text)


def _metadata(key: str) -> str | None:
    """What a TPU VM is told about itself."""
    request = urllib.request.Request(METADATA + key, headers={"Metadata-Flavor": "Google"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, OSError):
        return None
