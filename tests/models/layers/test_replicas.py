from __future__ import annotations

from backend_process import run_on

PROGRAM = """
import jax
jax.config.update("jax_num_cpu_devices", 4)
from jax.sharding import PartitionSpec as P
from keras_resnet.models.layers import replicas
assert replicas.count() == jax.jit(replicas.count)() == 1
mesh = jax.make_mesh((4,), (replicas.AXIS,), axis_types=(jax.sharding.AxisType.Auto,))
@jax.shard_map(mesh=mesh, in_specs=P(replicas.AXIS), out_specs=P(replicas.AXIS))
def counted(x):
    return x * replicas.count()
assert counted(jax.numpy.ones(8)).tolist() == [4.0] * 8
"""


def test_replicas_are_counted_where_the_program_of_a_device_is_traced(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    done = run_on("jax", tmp_path / "program.py")
    assert done.returncode == 0, done.stderr
