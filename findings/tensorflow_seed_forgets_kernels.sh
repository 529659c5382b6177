#!/usr/bin/env bash
# What most expect: `tf.random.set_seed` (and `keras.utils.set_random_seed`, which calls it) sets a number, and costs nothing.
# What happens: in eager mode it also clears the context's cache of kernels, so that every operation after it is looked up
#   and built anew: the same chain of small operations takes measurably longer after each seed.
# Versions: tensorflow 2.21.0 on a CPU.
# Source: tensorflow/python/eager/context.py, `_set_global_seed`, which clears the caches of the context.
# Consequence: a fixture that seeds before each test, or a loop that seeds in each step, slows all eager code after it.
#   Seed once; where equal numbers are wanted again and again, use stateless operations.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow==2.21.0
cat > "$folder/measure.py" <<'PYTHON'
import sys
import time

import tensorflow as tf

x = tf.random.stateless_uniform([8, 16, 16, 8], [0, 1])
kernel = tf.random.stateless_uniform([3, 3, 8, 8], [0, 2])


def work():
    y = x
    for step in range(40):
        y = tf.nn.relu(tf.nn.conv2d(y, kernel, 1, "SAME") * 0.01 + step)
    return y.numpy()


def median(before):
    work()
    times = []
    for _ in range(31):
        before()
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1000 * sorted(times)[15]


plain, seeded = median(lambda: None), median(lambda: tf.random.set_seed(0))
print(f"120 small operations: {plain:.1f} ms of CPU; after tf.random.set_seed: {seeded:.1f} ms ({seeded / plain:.2f} times)")
sys.exit(0 if seeded > 1.1 * plain else 1)
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/measure.py"
