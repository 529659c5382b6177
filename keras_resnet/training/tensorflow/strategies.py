"""The devices that train, as `tf.distribute` strategies."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import tensorflow as tf

from keras_resnet.host import processors
from keras_resnet.training.tensorflow import worker_rendezvous

SMALLEST_TOWER = 32
"""Images that a tower of the CPU is given at least, where their number is not said: those of a GPU in the paper."""


def one_device() -> tf.distribute.Strategy:
    """The first GPU, or the CPU where there is none."""
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    return tf.distribute.OneDeviceStrategy(f"/{kind}:0")


def mirrored(replicas: int | None = None, *, global_batch_size: int | None = None) -> tf.distribute.Strategy:
    """The GPUs of this machine, or its CPU as several devices with a thread each ("towers").

    Two towers of 64 images train CIFAR ResNet-20 faster than one graph of 128, and give each the batch statistics of
    the paper's two GPUs. The CPU can be divided only before TensorFlow's first operation.

    Args:
        replicas: Devices to use. Defaults to every GPU; on a CPU, to as many towers as there are cores, as long as they
            divide the batch and leave each at least `SMALLEST_TOWER` images.
        global_batch_size: Images in an iteration; read for that default.

    Raises:
        ValueError: if there are fewer GPUs, or if TensorFlow has begun with fewer logical CPU devices.
    """
    if gpus := tf.config.list_physical_devices("GPU"):
        wanted = len(gpus) if replicas is None else replicas
        if wanted > len(gpus):
            raise ValueError(f"`replicas` must be at most the {len(gpus)} GPUs. Received: replicas={replicas}")
        return tf.distribute.MirroredStrategy([f"GPU:{index}" for index in range(wanted)])
    towers = replicas or default_towers(global_batch_size)
    divide_cpu(towers)
    return tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(towers)])


def default_towers(global_batch_size: int | None) -> int:
    """The towers of a CPU where their number is not said; see `mirrored`."""
    cores = processors.count()
    if global_batch_size is None:
        return cores
    fitting = (n for n in range(1, cores + 1) if global_batch_size % n == 0)
    return max((n for n in fitting if global_batch_size // n >= SMALLEST_TOWER), default=1)


def divide_cpu(towers: int) -> None:
    """Makes the CPU appear as several devices whose operations run on a thread each.

    Raises:
        ValueError: if TensorFlow has begun with fewer devices.
    """
    [cpu] = tf.config.list_physical_devices("CPU")
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * towers)
        tf.config.threading.set_intra_op_parallelism_threads(1)
    except RuntimeError as error:
        if len(tf.config.list_logical_devices("CPU")) < towers:
            raise ValueError(
                f"The CPU must be divided into {towers} devices before TensorFlow's first operation, which has been. "
                "Make the strategy first"
            ) from error


def multi_worker(timeout: float = 300.0) -> tf.distribute.Strategy:
    """The GPUs of several hosts, or their CPUs: a process each, which TF_CONFIG or Slurm tells of the others.

    Under Slurm, TF_CONFIG is set for this process.

    Args:
        timeout: Seconds to wait for the other processes.

    Raises:
        ValueError: if the environment tells nothing, or nonsense.
        TimeoutError: if a process did not join; names it.
    """
    if "TF_CONFIG" not in os.environ:
        os.environ["TF_CONFIG"] = slurm_config()
    addresses, index = read_tf_config(os.environ["TF_CONFIG"])
    worker_rendezvous.wait_for_workers(addresses, index, timeout=timeout)
    return tf.distribute.MultiWorkerMirroredStrategy()


def slurm_config() -> str:
    """TF_CONFIG as Slurm's environment tells it.

    Raises:
        ValueError: if the environment is not that of a task of `srun`.
    """
    if "SLURM_STEP_NODELIST" not in os.environ:
        raise ValueError(
            "The strategy 'multi_worker' needs the environment variable TF_CONFIG in every process, such as "
            '\'{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}\', '
            "or to be started by Slurm's srun"
        )
    try:
        # TensorFlow's resolver counts ports in GPUs. Which of them a task sees is left to Slurm.
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            gpus_per_node=int(os.environ["SLURM_STEP_NUM_TASKS"]), gpus_per_task=1, auto_set_gpu=False
        )
        spec = resolver.cluster_spec().as_dict()["worker"]
    except (RuntimeError, ValueError, KeyError) as error:
        raise ValueError(f"Slurm's environment is not that of a task of srun ({error})") from error
    # It sorts node10 before node2, Slurm does not.
    ordered = sorted(spec, key=lambda address: [int(n) if n.isdigit() else n for n in re.split(r"(\d+)", address)])
    task = {"type": "worker", "index": int(os.environ["SLURM_PROCID"])}
    return json.dumps({"cluster": {"worker": ordered}, "task": task})


def read_tf_config(text: str) -> tuple[list[str], int]:
    """The addresses of the workers, and the index of this one.

    Raises:
        ValueError: if the text is not one list of workers and an index in it.
    """
    try:
        config = json.loads(text)
        workers, task = config["cluster"]["worker"], config["task"]
        kind, index, others = task["type"], int(task["index"]), sorted(set(config["cluster"]) - {"worker"})
        addresses = [str(address) for address in workers]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"TF_CONFIG must hold cluster.worker, task.type and task.index. Received: {text}") from error
    if others:
        raise ValueError(f"TF_CONFIG must have workers only in its cluster. Received: {', '.join(others)}")
    if kind != "worker" or not 0 <= index < len(addresses):
        raise ValueError(
            f"In TF_CONFIG, task.type must be 'worker' and task.index that of one of the {len(addresses)} workers. "
            f"Received: {task}"
        )
    return addresses, index


def tpu() -> tf.distribute.Strategy:
    """The TPU that the environment variable TPU_NAME names, or the one that this machine is part of.

    Raises:
        ValueError: if there is none.
    """
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=os.environ.get("TPU_NAME", "local"))
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise ValueError(
            "The strategy 'tpu' needs a TPU: run it on a TPU VM with the tensorflow-tpu wheel, or say with the "
            f"environment variable TPU_NAME where it is ({str(error).partition(chr(10))[0]})"
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def detect(environment: Mapping[str, str] = os.environ, dev: Path = Path("/dev")) -> str:
    """What `auto` stands for here: the most that this process can see.

    `tpu` where there is one; `multi_worker` where the environment tells of other processes; `mirrored` with several
    GPUs; `one_device` otherwise, also on a CPU, which is never divided unasked.
    """
    chips = [*dev.glob("accel*"), *dev.glob("vfio/[0-9]*")] if importlib.util.find_spec("libtpu") else []
    if "TPU_NAME" in environment or chips:
        return "tpu"
    if "TF_CONFIG" in environment or int(environment.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        return "multi_worker"
    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "one_device"


STRATEGIES: dict[str, Callable[[int | None, int, float], tf.distribute.Strategy]] = {
    "one_device": lambda replicas, batch, timeout: one_device(),
    "mirrored": lambda replicas, batch, timeout: mirrored(replicas, global_batch_size=batch),
    "multi_worker": lambda replicas, batch, timeout: multi_worker(timeout),
    "tpu": lambda replicas, batch, timeout: tpu(),
    "auto": lambda replicas, batch, timeout: STRATEGIES[detect()](replicas, batch, timeout),
}
"""Strategies by the name that a run gives them, from (replicas, images in an iteration, seconds to wait)."""


def device_names(strategy: tf.distribute.Strategy) -> list[str]:
    """The devices of a strategy, as text for people; of this process, where there are several."""
    return [str(device) for device in strategy.extended.worker_devices]


def batches(
    strategy: tf.distribute.Strategy, make: Callable[..., tf.data.Dataset]
) -> tf.distribute.DistributedDataset | tf.data.Dataset:
    """The data set of every replica.

    Args:
        strategy: The devices.
        make: From `replicas` (of a host), `host` (its number) and `hosts` to the batches of its replicas, in turns.
    """

    def of_host(context: tf.distribute.InputContext) -> tf.data.Dataset:
        hosts = context.num_input_pipelines
        return make(replicas=context.num_replicas_in_sync // hosts, host=context.input_pipeline_id, hosts=hosts)

    return strategy.distribute_datasets_from_function(of_host)
