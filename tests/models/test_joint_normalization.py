"""Widening convolutions and their normalizations, called as one where networks train in bfloat16 on JAX."""

from __future__ import annotations

from pathlib import Path

from backend_process import run_on

PROGRAM = Path(__file__).parents[1] / "support" / "joint_normalization_on_jax.py"


def test_training_computes_the_same_with_less_memory(tmp_path):
    done = run_on("jax", PROGRAM)
    assert done.returncode == 0, done.stderr
