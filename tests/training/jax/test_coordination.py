"""Another version of JAX, or a service that is not there, is told in one error."""

from __future__ import annotations

import importlib.util
import io
import sys

import pytest

from keras_resnet.training.jax import coordination
from ports import free_ports

pytestmark = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")

CHANGES = [
    ("FUNCTIONS", "jaxlib.absent", "No module named 'jaxlib.absent'"),
    ("FUNCTIONS", "json", "module 'json' has no attribute 'get_distributed_runtime_client'"),
    ("STATE", "json", "module 'json' has no attribute 'global_state'"),
    ("OF_STATE", ("client", "leader"), "object has no attribute 'leader'"),
]


def test_this_version_joins_processes_as_is_known_here():
    coordination.check()


@pytest.mark.parametrize(("name", "value", "why"), CHANGES)
def test_another_version_is_named(monkeypatch, name, value, why):
    import jax

    monkeypatch.setattr(coordination, name, value)
    with pytest.raises(ValueError) as error:  # noqa: PT011, its words are below
        coordination.check()
    told = str(error.value)
    assert told.startswith(f"this package does not know how JAX {jax.__version__} joins processes (")
    assert why in told and told.endswith(". Install jax==0.10.2, or train in one process")


def test_other_arguments_of_its_functions_are_an_error_as_well(monkeypatch, capsys):
    monkeypatch.setattr(coordination, "_function", lambda name: lambda *addresses: None)
    monkeypatch.setattr(coordination.socket, "create_connection", lambda *_: io.BytesIO())
    with pytest.raises(ValueError, match="JAX .* joins processes .*unexpected keyword argument 'init_timeout'"):
        coordination.join(("127.0.0.1", 1), 1, 2)
    coordination.serve(1, 2)
    assert "unexpected keyword argument 'heartbeat_timeout'" in capsys.readouterr().out


@pytest.mark.parametrize(("program", "why"), [("echo", "-m keras_resnet"), ("false", "it ended with status 1")])
def test_a_service_that_does_not_start_says_why(monkeypatch, program, why):
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(OSError, match=f"JAX's service for several processes does not start: {why}"):
        coordination.start(2)


def test_a_service_that_cannot_be_reached_is_an_error_before_jax_would_abort():
    [port] = free_ports(1)
    with pytest.raises(OSError, match=f"worker 1 cannot reach JAX's service at 127.0.0.1:{port}: Connection refused"):
        coordination.join(("127.0.0.1", port), 1, 2)
