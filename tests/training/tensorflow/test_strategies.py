"""The devices: which there are, what they are asked to be, and the batch that they share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import tensorflow as tf

from keras_resnet.config import run
from keras_resnet.training.tensorflow import strategies, worker_rendezvous

ROOT = Path(__file__).parents[3]


def test_the_table_has_a_row_for_every_word_of_a_run_but_that_of_jax():
    assert {*strategies.STRATEGIES, "multi_process"} == set(get_args(run.Strategy))


@pytest.mark.parametrize(
    ("word", "function", "received"),
    [
        ("one_device", "one_device", ((), {})),
        ("mirrored", "mirrored", ((2,), {"global_batch_size": 64})),
        ("multi_worker", "multi_worker", ((7.0,), {})),
        ("tpu", "tpu", ((), {})),
    ],
)
def test_a_row_makes_the_strategy_of_its_name(monkeypatch, word, function, received):
    monkeypatch.setattr(strategies, function, lambda *arguments, **options: (arguments, options))
    assert strategies.STRATEGIES[word](2, 64, 7.0) == received
    monkeypatch.setattr(strategies, "detect", lambda: word)
    assert strategies.STRATEGIES["auto"](2, 64, 7.0) == received


def test_one_device_computes_everything():
    strategy = strategies.one_device()
    assert strategy.num_replicas_in_sync == 1
    [name] = strategies.device_names(strategy)
    assert name.endswith(("CPU:0", "GPU:0"))


def test_every_replica_has_its_batches_of_the_only_host(two_devices):
    asked = []

    def make(**where: int) -> tf.data.Dataset:
        asked.append(where)
        return tf.data.Dataset.range(6)

    read = [two_devices.experimental_local_results(each) for each in strategies.batches(two_devices, make)]
    assert [[int(value) for value in replicas] for replicas in read] == [[0, 1], [2, 3], [4, 5]]
    assert asked == [{"replicas": 2, "host": 0, "hosts": 1}]


# The CPU as several devices


@pytest.mark.parametrize(
    ("cores", "images", "towers"),
    [
        (2, 128, 2),
        (16, 128, 4),  # of 32 images each
        (3, 128, 2),  # three do not divide it
        (16, 32, 1),
        (16, 16, 1),
        (16, 127, 1),
        (6, 192, 6),
        (4, None, 4),
    ],
)
def test_towers_are_as_many_as_cores_that_have_enough_to_do(monkeypatch, cores, images, towers):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert strategies.default_towers(images) == towers


@pytest.fixture
def gpus(monkeypatch):
    """Says how many GPUs there are, for the test."""
    listed = tf.config.list_physical_devices

    def gpus(count: int) -> None:
        found = [f"/physical_device:GPU:{index}" for index in range(count)]
        monkeypatch.setattr(
            tf.config, "list_physical_devices", lambda kind=None: found if kind == "GPU" else listed(kind)
        )

    return gpus


def test_a_cpu_cannot_be_divided_once_tensorflow_has_begun(gpus):
    gpus(0)
    assert len(tf.config.list_logical_devices("CPU")) == 2
    with pytest.raises(ValueError, match="must be divided into 3 devices before TensorFlow's first operation"):
        strategies.mirrored(3)
    with pytest.raises(ValueError, match="divided into 4 devices"):
        strategies.mirrored(4, global_batch_size=1)
    assert len(tf.config.list_logical_devices("CPU")) == 2


def test_a_cpu_that_is_divided_into_enough_devices_stays_as_it_is():
    tf.config.list_logical_devices()
    strategies.divide_cpu(2)
    strategies.divide_cpu(1)
    assert len(tf.config.list_logical_devices("CPU")) == 2


@pytest.mark.parametrize(
    ("there", "replicas", "used"), [(4, None, ["GPU:0", "GPU:1", "GPU:2", "GPU:3"]), (4, 2, ["GPU:0", "GPU:1"])]
)
def test_mirrored_takes_all_gpus_or_the_first(gpus, monkeypatch, there, replicas, used):
    gpus(there)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda devices: devices)
    assert strategies.mirrored(replicas, global_batch_size=1) == used


def test_gpus_that_are_not_there_are_refused(gpus):
    gpus(2)
    with pytest.raises(ValueError, match="`replicas` must be at most the 2 GPUs. Received: replicas=3"):
        strategies.mirrored(3)


# What `auto` stands for


@pytest.fixture
def libtpu(monkeypatch):
    """Says whether the TPU's library is installed."""
    return lambda there: monkeypatch.setattr(
        strategies.importlib.util, "find_spec", lambda name: object() if there and name == "libtpu" else None
    )


@pytest.mark.parametrize(
    ("environment", "chips", "library", "gpu_count", "expected"),
    [
        ({}, [], False, 0, "one_device"),
        ({}, [], False, 1, "one_device"),
        ({}, [], False, 2, "mirrored"),
        ({"TF_CONFIG": "{}"}, [], False, 2, "multi_worker"),
        ({"SLURM_STEP_NUM_TASKS": "2"}, [], False, 0, "multi_worker"),
        ({"SLURM_STEP_NUM_TASKS": "1"}, [], False, 8, "mirrored"),
        ({"TPU_NAME": "mine"}, [], False, 0, "tpu"),
        ({"TPU_NAME": "mine", "TF_CONFIG": "{}"}, [], False, 2, "tpu"),
        ({}, ["accel0", "accel1"], True, 0, "tpu"),
        ({}, ["vfio/0"], True, 0, "tpu"),
        ({}, ["vfio/vfio"], True, 0, "one_device"),  # the control device, there without a chip
        ({}, ["accel0"], False, 0, "one_device"),  # somebody else's accelerator
        ({}, [], True, 2, "mirrored"),
    ],
)
def test_auto_takes_the_most_that_there_is(tmp_path, gpus, libtpu, environment, chips, library, gpu_count, expected):
    for chip in chips:
        (tmp_path / chip).parent.mkdir(exist_ok=True)
        (tmp_path / chip).touch()
    gpus(gpu_count)
    libtpu(library)
    assert strategies.detect(environment, tmp_path) == expected


# TPUs


@pytest.mark.slow
def test_without_a_tpu_the_error_says_what_is_missing():
    """In a process of its own: TensorFlow changes its devices when it looks for a TPU."""
    program = (
        "from keras_resnet.training.tensorflow import strategies\n"
        "try:\n"
        "    strategies.tpu()\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TPU_NAME"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    [told] = done.stdout.splitlines()
    assert told.startswith("The strategy 'tpu' needs a TPU: run it on a TPU VM with the tensorflow-tpu wheel, or say ")


@pytest.mark.parametrize(("name", "asked"), [(None, "local"), ("mine", "mine")])
def test_a_tpu_is_found_connected_and_initialized_before_its_strategy_is_made(monkeypatch, name, asked):
    calls = []
    monkeypatch.delenv("TPU_NAME", raising=False)
    if name:
        monkeypatch.setenv("TPU_NAME", name)

    def noted(what):
        return lambda *arguments, **options: calls.append((what, *arguments, *options.values())) or what

    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", noted("resolver"))
    monkeypatch.setattr(tf.config, "experimental_connect_to_cluster", noted("connect"))
    monkeypatch.setattr(tf.tpu.experimental, "initialize_tpu_system", noted("initialize"))
    monkeypatch.setattr(tf.distribute, "TPUStrategy", noted("strategy"))
    assert strategies.tpu() == "strategy"
    assert calls == [("resolver", asked), ("connect", "resolver"), ("initialize", "resolver"), ("strategy", "resolver")]


# Several processes


def config_of(*workers: str, index: int = 0, **more) -> str:
    cluster = {"worker": list(workers), **more}
    return json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (config_of("one:1"), (["one:1"], 0)),
        (config_of("one:1", "two:2", index=1), (["one:1", "two:2"], 1)),
        ('{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": "1"}}', (["a:1", "b:2"], 1)),
    ],
)
def test_tf_config_tells_the_workers_and_which_this_is(text, expected):
    assert strategies.read_tf_config(text) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "TF_CONFIG must hold cluster.worker, task.type and task.index. Received: "),
        ("worker 1 of 2", "must hold cluster.worker"),
        ("[]", "must hold cluster.worker"),
        ("{}", "must hold cluster.worker"),
        ("null", "must hold cluster.worker"),
        ('{"cluster": {"worker": ["a:1"]}}', "must hold cluster.worker"),
        ('{"cluster": {"worker": 3}, "task": {"type": "worker", "index": 0}}', "must hold cluster.worker"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "x"}}', "must hold cluster.worker"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": null}}', "must hold cluster.worker"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}', "task.type must be 'worker'"),
        (config_of("a:1", "b:1", index=2), "task.index that of one of the 2 workers"),
        (config_of("a:1", index=-1), "task.index that of one of the 1 workers"),
        (config_of(), "task.index that of one of the 0 workers"),
        (config_of("a:1", ps=["c:1"], chief=["d:1"]), "workers only in its cluster. Received: chief, ps"),
    ],
)
def test_nonsense_in_tf_config_is_refused(text, told):
    with pytest.raises(ValueError, match="TF_CONFIG") as error:
        strategies.read_tf_config(text)
    assert told in str(error.value)


@pytest.fixture
def slurm(monkeypatch):
    """Sets Slurm's variables, which TensorFlow reads for itself."""

    def slurm(**variables: object) -> None:
        for name in [name for name in os.environ if name.startswith("SLURM_")]:
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(f"SLURM_{name}", str(value))

    return slurm


@pytest.mark.parametrize(
    ("nodes", "tasks", "expected"),
    [
        ("node[2,10]", "1(x2)", ["node2:8888", "node10:8888"]),  # as numbers, not as words
        ("node[09-11]", "1(x3)", ["node09:8888", "node10:8888", "node11:8888"]),
        ("gpu1", "3", ["gpu1:8888", "gpu1:8889", "gpu1:8890"]),
        ("a[1-2],b7", "2(x2),1", ["a1:8888", "a1:8889", "a2:8888", "a2:8889", "b7:8888"]),
        ("r10n2,r2n10,r2n9", "1(x3)", ["r2n9:8888", "r2n10:8888", "r10n2:8888"]),
    ],
)
def test_slurm_tells_the_same_list_to_every_task_without_a_gpu(slurm, monkeypatch, nodes, tasks, expected):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for index in range(len(expected)):
        slurm(PROCID=index, STEP_NUM_TASKS=len(expected), STEP_NODELIST=nodes, STEP_TASKS_PER_NODE=tasks)
        assert strategies.read_tf_config(strategies.slurm_config()) == (expected, index)
    assert "CUDA_VISIBLE_DEVICES" not in os.environ, "which GPUs a task sees is Slurm's affair"


GOOD = {"PROCID": 0, "STEP_NUM_TASKS": 2, "STEP_NODELIST": "n[1-2]", "STEP_TASKS_PER_NODE": "1(x2)"}


@pytest.mark.parametrize(
    "change",
    [
        {"PROCID": None},
        {"PROCID": "first"},
        {"STEP_NUM_TASKS": None},
        {"STEP_NUM_TASKS": "two"},
        {"STEP_NUM_TASKS": 3},
        {"STEP_NODELIST": "n[1-"},
        {"STEP_TASKS_PER_NODE": None},
        {"STEP_TASKS_PER_NODE": "many"},
    ],
)
def test_a_slurm_environment_that_contradicts_itself_is_refused(slurm, change):
    variables = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    slurm(**variables)
    with pytest.raises(ValueError, match=r"Slurm's environment is not that of a task of srun \("):
        strategies.slurm_config()


def test_an_environment_that_tells_of_no_others_is_refused_with_an_example(slurm):
    slurm()
    with pytest.raises(ValueError, match="needs the environment variable TF_CONFIG") as error:
        strategies.slurm_config()
    example = str(error.value).split("'")[3]
    assert strategies.read_tf_config(example) == (["host1:2222", "host2:2222"], 0)


@pytest.fixture
def joined(monkeypatch):
    """Whom `multi_worker` waits for, instead of waiting."""
    waited = []
    monkeypatch.setattr(
        worker_rendezvous,
        "wait_for_workers",
        lambda addresses, index, timeout: waited.append((addresses, index, timeout)),
    )
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda: waited.append("strategy") or "strategy")
    return waited


def test_workers_wait_for_one_another_before_tensorflow_does(joined, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config_of("a:1", "b:2", index=1))
    assert strategies.multi_worker(5.0) == "strategy"
    assert joined == [(["a:1", "b:2"], 1, 5.0), "strategy"]


def test_under_slurm_tensorflow_is_told_what_slurm_tells(joined, monkeypatch, slurm):
    monkeypatch.setenv("TF_CONFIG", "")  # so that it is taken back after the test
    monkeypatch.delenv("TF_CONFIG")
    slurm(**GOOD)
    strategies.multi_worker()
    assert joined[0][:2] == (["n1:8888", "n2:8888"], 0)
    assert strategies.read_tf_config(os.environ["TF_CONFIG"]) == (["n1:8888", "n2:8888"], 0)


def test_nobody_is_waited_for_where_the_environment_is_nonsense(joined, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config_of("a:1", index=1))
    with pytest.raises(ValueError, match="TF_CONFIG"):
        strategies.multi_worker()
    assert joined == []
