"""Processes find one another as the environment tells of them."""

from __future__ import annotations

import pytest

from keras_resnet.training.jax import clusters
from keras_resnet.training.jax.clusters import Place

HAND = {"JAX_COORDINATOR_ADDRESS": "node1:2222", "JAX_NUM_PROCESSES": "4", "JAX_PROCESS_ID": "3"}
SLURM = {
    "SLURM_JOB_ID": "1234567",
    "SLURM_STEP_NUM_TASKS": "6",
    "SLURM_PROCID": "2",
    "SLURM_STEP_NODELIST": "node[07-09,12],other3",
}
TPU = {"TPU_WORKER_HOSTNAMES": "t0.slice,t1.slice,t2.slice", "TPU_WORKER_ID": "1"}
JOB = {"JOB_COMPLETION_INDEX": "5", "JAX_NUM_PROCESSES": "8"}


def pod() -> str:
    return "train-worker-0-5.train.default.svc.cluster.local"


@pytest.fixture(autouse=True)
def name_of_a_pod(monkeypatch):
    monkeypatch.setitem(clusters.CLUSTERS, "a JobSet", lambda environment: clusters.of_job(environment, pod))
    monkeypatch.setattr(clusters, "_metadata", lambda key: None)


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        (HAND, Place(("node1", 2222), 4, 3)),
        ({**HAND, "JAX_COORDINATOR_ADDRESS": "[fd00::1]:80"}, Place(("fd00::1", 80), 4, 3)),
        (SLURM, Place(("node07", 24567), 6, 2)),
        ({**SLURM, "SLURM_STEP_NODELIST": "alone"}, Place(("alone", 24567), 6, 2)),
        ({**SLURM, "SLURM_STEP_NODELIST": "gpu-a,gpu-b"}, Place(("gpu-a", 24567), 6, 2)),
        (JOB, Place(("train-worker-0-0.train.default.svc.cluster.local", 8476), 8, 5)),
        (TPU, Place(("t0.slice", 8476), 3, 1)),
        ({**SLURM, **HAND}, Place(("node1", 2222), 4, 3)),
    ],
)
def test_a_process_knows_its_place(environment, place):
    assert clusters.find(environment) == place
    assert clusters.tells(environment) == (environment is not TPU)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, "needs the environment variables JAX_COORDINATOR_ADDRESS .host:port of process 0., JAX_NUM_PROCESSES and"),
        (
            {**HAND, "JAX_COORDINATOR_ADDRESS": "node1"},
            "JAX_COORDINATOR_ADDRESS must be of the form host:port, .*: node1",
        ),
        ({**HAND, "JAX_COORDINATOR_ADDRESS": "node1:99999"}, "must be of the form host:port"),
        ({**HAND, "JAX_NUM_PROCESSES": "many"}, "JAX_NUM_PROCESSES must be a whole number. Received: 'many'"),
        ({**HAND, "JAX_PROCESS_ID": ""}, "JAX_PROCESS_ID must be a whole number. Received: ''"),
        ({**HAND, "JAX_PROCESS_ID": "4"}, "must be at least 0 and below the 4 processes. Received: 4"),
        ({**SLURM, "SLURM_STEP_NODELIST": ""}, "SLURM_STEP_NODELIST must name the hosts"),
        ({**SLURM, "SLURM_PROCID": "x"}, "SLURM_PROCID must be a whole number"),
        ({**JOB, "JOB_COMPLETION_INDEX": "6"}, "must end in its index, 6, as in a JobSet. Received: train-worker-0-5"),
    ],
)
def test_an_environment_that_makes_no_sense_is_refused(environment, told):
    with pytest.raises(ValueError, match=told):
        clusters.find(environment)


def test_a_tpu_vm_is_asked_for_its_slice(monkeypatch, tmp_path):
    told = {"worker-network-endpoints": "a:1:10.0.0.1,b:2:10.0.0.2", "agent-worker-number": "1"}
    monkeypatch.setattr(clusters, "_metadata", told.get)
    monkeypatch.setattr(clusters, "has_tpu", lambda environment: True)
    assert clusters.of_tpu({}) == Place(("10.0.0.1", 8476), 2, 1)
    monkeypatch.setattr(clusters, "_metadata", lambda key: None)
    assert clusters.of_tpu({}) is None


def test_a_tpu_needs_its_library_and_its_chips(monkeypatch, tmp_path):
    monkeypatch.setattr(clusters.importlib.util, "find_spec", lambda name: name == "libtpu")
    assert not clusters.has_tpu({}, tmp_path)
    (tmp_path / "accel0").touch()
    assert clusters.has_tpu({}, tmp_path)
    monkeypatch.setattr(clusters.importlib.util, "find_spec", lambda name: None)
    assert not clusters.has_tpu(TPU, tmp_path)
