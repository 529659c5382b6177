#!/usr/bin/env bash
# What most expect: a label that is no class, 3 of three classes or -1, ends a training with an error, or at least with a loss
#   that is not a number, on every backend of Keras alike.
# What happens: on JAX the sparse categorical cross-entropy of such an image is 0, the best that there is, with a gradient of 0:
#   the image is left out, still counted in the mean, and `fit` says nothing. On TensorFlow, on a CPU, it is an
#   InvalidArgumentError, and on torch an IndexError ("Target 3 is out of bounds").
# Versions: keras 3.15.1, jax 0.10.2, tensorflow 2.21.0, on a CPU (torch 2.13.0 was run apart from this script).
# Source: keras/src/backend/jax/nn.py, `sparse_categorical_crossentropy`, by `jax.nn.one_hot`, whose docstring says that indices
#   outside the range are rows of zeros.
# Consequence: labels that count from 1 (as in the lists of ImageNet's development kit) lose a class and look like a good loss.
#   Check the range of labels yourself, before the training. (Where 0 was wanted for "ignore", divide by the others' number.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2 tensorflow==2.21.0
cat > "$folder/labels.py" <<'PYTHON'
import os

import keras
import numpy as np

images = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
seen = []
for labels in ([0, 1, 2, 0, 1, 2], [1, 2, 3, 1, 2, 3], [-1] * 6):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(1.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    try:
        loss = model.fit(images, np.array(labels), batch_size=6, verbose=0).history["loss"][0]
        seen.append((round(loss, 3), bool(np.abs(model.get_weights()[0]).max() > 0)))
        print(f"{keras.backend.backend()}: labels {labels}: loss {loss:.3f}, kernel moved: {seen[-1][1]}")
    except Exception as error:
        seen.append(type(error).__name__)
        print(f"{keras.backend.backend()}: labels {labels}: {type(error).__name__}")
error = "InvalidArgumentError"
expected = {"jax": [(1.099, True), (0.732, True), (0.0, False)], "tensorflow": [(1.099, True), error, error]}
os._exit(0 if seen == expected[keras.backend.backend()] else 1)
PYTHON
for backend in jax tensorflow; do
    KERAS_BACKEND=$backend TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" -u "$folder/labels.py" 2> "$folder/log"
done
