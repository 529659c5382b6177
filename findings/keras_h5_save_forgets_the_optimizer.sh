#!/usr/bin/env bash
# What most expect: `model.save(...)` writes a file and leaves the model as it was.
# What happens: `model.save("m.h5")` of a compiled model takes the optimizer out of the configuration that the model was compiled
#   with. A `model.save("m.keras")` after it, without a word, is a file whose model has RMSprop, the default of `compile`,
#   in the place of the optimizer that it was trained with.
# Versions: keras 3.15.1 with its JAX backend, jax 0.10.2, h5py 3.14.0.
# Source: run here.
# Consequence: a training that keeps both formats continues from the second with another optimizer. Write the .keras first, or
#   no .h5 at all.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2 h5py==3.14.0
cat > "$folder/save.py" <<'PYTHON'
import sys

import keras


def optimizer_after(*files):
    """The optimizer of the model in the last file, of a model that was saved to all of them in turn."""
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mean_squared_error")
    for file in files:
        model.save(file)
    return type(keras.saving.load_model(files[-1]).optimizer).__name__


alone, after = optimizer_after("a.keras"), optimizer_after("b.h5", "b.keras")
print(f"compiled with SGD, saved as .keras: {alone}; saved as .h5, then as .keras: {after}")
sys.exit(0 if (alone, after) == ("SGD", "RMSprop") else 1)
PYTHON
cd "$folder"
KERAS_BACKEND=jax "$folder/venv/bin/python" save.py
