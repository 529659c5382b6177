#!/usr/bin/env bash
# What most expect: a jax.Array never changes; `jax.device_put` of a NumPy array copies it, and surely with `may_alias=False`.
# What happens: on the CPU, an array whose first byte lies at a multiple of 64 is not copied: writing into the NumPy array
#   changes the jax.Array. `may_alias=False` changes nothing, and `jax.make_array_from_process_local_data` and
#   `jax.make_array_from_callback` do the same. Shared memory and memory-mapped files lie at whole pages, and so are shared
#   always; of small arrays of NumPy's own some are shared and some copied, as the allocator pleases, and large ones mostly
#   copied. `jnp.asarray` and `jnp.array` copy.
# Versions: jax 0.10.2, numpy 2.4.6.
# Source: run here; docstring of `jax.device_put` ("If False, `x` will be copied"). The first half is jax's open issue 37830.
# Consequence: a loader that fills one buffer of shared memory again and again changes batches that were handed over before.
#   A test with arrays of NumPy's own may pass or fail by where they lie. Hand over `jnp.array(x)`, or never write again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 numpy==2.4.6
cat > "$folder/share.py" <<'PYTHON'
import sys
from multiprocessing import shared_memory

import jax
import jax.numpy as jnp
import numpy as np

device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
ways = {
    "device_put": jax.device_put,
    "device_put, may_alias=False": lambda x: jax.device_put(x, may_alias=False),
    "make_array_from_process_local_data": lambda x: jax.make_array_from_process_local_data(device, x),
    "make_array_from_callback": lambda x: jax.make_array_from_callback(x.shape, device, lambda index: x[index]),
    "jnp.asarray": jnp.asarray,
    "jnp.array": jnp.array,
}


def changes(way, x):
    """Whether the jax.Array of x follows when x is written to."""
    x[:] = 1
    array = jax.block_until_ready(way(x))
    x[:] = 7
    return float(array[0]) == 7


block = shared_memory.SharedMemory(create=True, size=4 * 1100)
lies = {
    "in shared memory": np.ndarray(1000, "float32", block.buf),
    "16 bytes further": np.ndarray(1000, "float32", block.buf, offset=16),
}
seen = {place: [name for name, way in ways.items() if changes(way, x)] for place, x in lies.items()}
for place, names in seen.items():
    print(f"{place}, changed afterwards:", ", ".join(names) or "none")
own = [changes(jax.device_put, np.ones(1000, "float32")) for _ in range(1000)]
print(f"of 1000 arrays of NumPy's own, of 1000 numbers each: {sum(own)}")
del lies
block.unlink()
sys.exit(0 if list(seen.values()) == [list(ways)[:4], []] else 1)
PYTHON
JAX_PLATFORMS=cpu "$folder/venv/bin/python" "$folder/share.py"
