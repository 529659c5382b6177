"""A small training compiles for slices of TPUs, of one host and of several, on both backends."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_resnet.facts import tpus

PROGRAM = Path(__file__).parents[1] / "support/compiled_for_tpu.py"
needs_compiler = pytest.mark.skipif(
    not (importlib.util.find_spec("libtpu") and importlib.util.find_spec("jax")),
    reason="libtpu and jax, which compile for TPUs, are not installed",
)


def run(backend: str, *slices: str) -> dict:
    """What the program prints; neither libtpu nor JAX may complain on standard error."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TPU_", "ALLOW_MULTIPLE"))}
    environment |= {
        "KERAS_BACKEND": backend,
        "JAX_PLATFORMS": "cpu",
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command = [sys.executable, str(PROGRAM), *slices]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not any(word in done.stderr for word in ("libtpu", "TPU", "UserWarning")), done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def on_jax() -> dict:
    return run("jax", "v4-8", "v5e:4x4", "v5e:2x2")


@needs_compiler
def test_a_slice_has_the_hosts_that_the_table_says(on_jax):
    slices = ("v4-8", "v5e:4x4", "v5e:2x2")
    assert {name: on_jax[name]["processes"] for name in slices} == {name: tpus.slice_of(name).hosts for name in slices}


@needs_compiler
def test_the_jax_backend_needs_no_tensorflow(on_jax):
    assert not on_jax["tensorflow"]


@needs_compiler
def test_gradients_are_summed_once(on_jax):
    for name in ("v4-8", "v5e:4x4", "v5e:2x2"):
        # all weights and the loss at once, and the number of misclassified images
        assert on_jax[name]["training"]["collectives"] == [
            ["all-reduce", "f32", 1, 4 * (on_jax["trained"] + 1)],
            ["all-reduce", "s32", 1, 4],
        ]
        assert sum(brought for *_, brought in on_jax[name]["evaluation"]["collectives"]) == 4 * 4


@needs_compiler
def test_padding_is_what_the_compiler_counts(on_jax):
    for name in ("v4-8", "v5e:4x4", "v5e:2x2"):
        for step in ("training", "evaluation"):
            assert on_jax[name][step]["padded"] == on_jax[name][step]["arguments"]
            assert on_jax[name][step]["flops"] > 0 and on_jax[name][step]["cycles"] > 0


@needs_compiler
def test_too_large_a_batch_says_how_much_it_needs(on_jax):
    needed, allowed = on_jax["too large"]
    assert needed > allowed == tpus.GENERATIONS["v5e"].allowed_memory


@needs_compiler
def test_what_tensorflow_gives_to_xla_compiles_for_a_tpu(on_jax):
    found = run("tensorflow", "v5e:2x2")["v5e:2x2"]
    # One replica: the same products, no collectives.
    assert found["training"]["collectives"] == []
    assert found["training"]["flops"] == pytest.approx(on_jax["v5e:2x2"]["training"]["flops"], rel=0.5)
    assert found["evaluation"]["cycles"] > 0
