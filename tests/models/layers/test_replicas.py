from __future__ import annotations

from backend_process import run_on

PROGRAM = """
import jax
from jax.sharding import AbstractMesh, PartitionSpec as P
from keras_resnet.models.layers import replicas
assert replicas.count() == jax.jit(replicas.count)() == 1
counts = []
def program(x):
    counts.append(replicas.count())
    return x
# Traced alone: a process of one device has no four.
of_four = jax.shard_map(program, mesh=AbstractMesh((4,), (replicas.AXIS,)), in_specs=P(), out_specs=P())
jax.eval_shape(jax.jit(of_four), jax.ShapeDtypeStruct((8,), "float32"))
assert counts[-1] == 4, counts
"""


def test_replicas_are_counted_where_the_program_of_a_device_is_traced(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    done = run_on("jax", tmp_path / "program.py")
    assert done.returncode == 0, done.stderr
