#!/usr/bin/env bash
# What most expect: with KERAS_BACKEND=jax, Keras works without TensorFlow, and so leaves an installed TensorFlow alone.
# What happens: where TensorFlow is installed, whatever makes a configuration imports all of it: `to_json`, `clone_model`,
#   `model.save`; and so does `keras.utils.set_random_seed`. Each takes seconds and hundreds of MiB in that process.
#   `fit` and `save_weights` do not.
# Versions: keras 3.15.1 with its JAX backend, jax 0.10.2, tensorflow 2.21.0.
# Source: keras/src/saving/serialization_lib.py and keras/src/utils/rng_utils.py ask `tf.available`, which tries the import.
#   The docstring says it of the seed, and of nothing else.
# Consequence: one machine's first checkpoint takes seconds longer than another's, each worker process that seeds itself pays
#   again, and "it runs without TensorFlow" has to be tested where it is not installed, not where it is merely unused.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2 tensorflow==2.21.0
cat > "$folder/call.py" <<'PYTHON'
import resource
import sys
import time

import keras
import numpy as np

images, labels = np.zeros((8, 8, 8, 3), "float32"), np.zeros(8, "int32")
image = keras.Input((8, 8, 3))
model = keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(image)))
model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
calls = {
    "fit": lambda: model.fit(images, labels, verbose=0),
    "save_weights": lambda: model.save_weights("model.weights.h5"),
    "to_json": model.to_json,
    "clone_model": lambda: keras.models.clone_model(model),
    "save": lambda: model.save("model.keras"),
    "set_random_seed": lambda: keras.utils.set_random_seed(0),
}
call = sys.argv[1]
assert "tensorflow" not in sys.modules
start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
calls[call]()
seconds, kib = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
imported = "tensorflow" in sys.modules
print(f"{call}: {'imports TensorFlow' if imported else 'does not'}, {seconds:.1f} s, {kib // 1024} MiB more")
sys.exit(0 if imported == (call not in ("fit", "save_weights")) else 1)
PYTHON
cd "$folder"
for call in fit save_weights to_json clone_model save set_random_seed; do
    KERAS_BACKEND=jax TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python call.py $call 2> log
done
