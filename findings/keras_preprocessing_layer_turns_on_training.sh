#!/usr/bin/env bash
# What most expect: calling a functional model, `model(x)`, outside of `fit` is inference: batch normalization uses its moving
#   statistics and leaves them alone, whatever stands in front of it.
# What happens: with `Resizing`, `CenterCrop`, `RandomFlip`, `RandomCrop` or `Pipeline` in front, `model(x)` runs the batch
#   normalization behind it in training: it normalizes by the batch, and its moving statistics move. `Rescaling` and
#   `Normalization` do not do that; `model(x, training=False)` and `model.predict(x)` are right.
# Versions: keras 3.15.1 with its JAX backend, jax 0.10.2; the same was seen on its torch backend.
# Source: run here.
# Consequence: a model that holds its own preprocessing answers otherwise by `model(x)` than by `predict`, and changes with each
#   call. Say `training=False`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2
cat > "$folder/call.py" <<'PYTHON'
import sys

import keras
import numpy as np

images = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3)).astype("float32")
fronts = {
    "Resizing": keras.layers.Resizing(8, 8),
    "CenterCrop": keras.layers.CenterCrop(8, 8),
    "Rescaling": keras.layers.Rescaling(1 / 255),
}
moved, differs = {}, {}
for name, front in fronts.items():
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, keras.layers.BatchNormalization()(front(image)))
    before = np.array(model.layers[-1].moving_mean)
    called = np.array(model(images))
    moved[name] = float(np.abs(np.array(model.layers[-1].moving_mean) - before).max())
    differs[name] = float(np.abs(called - np.array(model(images, training=False))).max())
    print(f"{name}: model(x) differs from training=False by {differs[name]:.3g}, and moved the mean by {moved[name]:.3g}")
as_found = all(moved[name] > 0 and differs[name] > 1 for name in ("Resizing", "CenterCrop"))
sys.exit(0 if as_found and moved["Rescaling"] == differs["Rescaling"] == 0 else 1)
PYTHON
KERAS_BACKEND=jax "$folder/venv/bin/python" "$folder/call.py"
