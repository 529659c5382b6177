#!/usr/bin/env bash
# What most expect: making an object leaves its class as it was.
# What happens: the first object that a subclass of `keras.Model` makes of inputs and outputs puts `Functional` among the bases
#   of the class. From then on `Net()` without a graph, which worked a line before, is a TypeError.
# Versions: keras 3.15.1 with its JAX backend, jax 0.10.2.
# Source: keras/src/models/model.py, `inject_functional_model_class`.
# Consequence: whether a subclassed model can be made depends on what ran before, such as another test of the process. Give
#   models of layers and models of graphs classes of their own.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2
cat > "$folder/subclass.py" <<'PYTHON'
import sys

import keras


class Net(keras.Model):
    pass


def made():
    try:
        Net()
    except TypeError as error:
        return f"TypeError: {error}"
    return "made"


def bases():
    return [base.__name__ for base in Net.__bases__]


before = made(), bases()
inputs = keras.Input((2,))
Net(inputs, keras.layers.Dense(1)(inputs))
after = made(), bases()
print("Net() at first:", *before)
print("Net() after Net(inputs, outputs):", *after)
sys.exit(0 if before[0] == "made" and after[0].startswith("TypeError") else 1)
PYTHON
KERAS_BACKEND=jax "$folder/venv/bin/python" "$folder/subclass.py"
