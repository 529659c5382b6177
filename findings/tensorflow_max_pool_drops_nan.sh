#!/usr/bin/env bash
# What most expect: NaN goes through a max-pool, as it goes through a sum, a convolution and `tf.reduce_max`.
# What happens: on a CPU `tf.nn.max_pool2d` passes over NaN beside a number, and a window of nothing but NaN gives the lowest
#   finite float, -3.4e38, which a ReLU behind it makes 0: a network with NaN in its first layer answers in plain numbers.
#   `tf.argmax` passes over NaN, too. JAX, torch and NumPy give NaN, and the index of NaN.
# Versions: tensorflow 2.21.0 on a CPU.
# Source: run here.
# Consequence: `assert not isnan(logits)` does not find NaN in images or in a stem; check in front of the pool.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow==2.21.0
cat > "$folder/pool.py" <<'PYTHON'
import sys

import numpy as np
import tensorflow as tf

one = np.array([np.nan, 1, 2, 3], "float32")
every = np.full(4, np.nan, "float32")


def pooled(values):
    return float(tf.nn.max_pool2d(values.reshape(1, 2, 2, 1), 2, 2, "VALID")[0, 0, 0, 0])


print(f"max-pool of one NaN and 1, 2, 3: {pooled(one)}; reduce_max: {float(tf.reduce_max(one))}")
print(f"max-pool of four NaN: {pooled(every)}, and a ReLU behind it: {float(tf.nn.relu(pooled(every)))}")
print(f"argmax of NaN, 1, 2, 3: {int(tf.argmax(one))}; NumPy's: {int(np.argmax(one))}")
sys.exit(0 if pooled(one) == 3 and np.isfinite(pooled(every)) and int(tf.argmax(one)) == 3 else 1)
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/pool.py"
