#!/usr/bin/env bash
# What most expect: a network that gives every class the same score has a top-5 accuracy of 5 in 1,000.
# What happens: it has 100%. Keras counts a label as found where fewer than k scores are greater than its own, so that ties
#   all count. The top-1 accuracy takes the first class of a tie instead: the two metrics disagree about the same scores.
#   A network that has diverged to NaN has the top-1 accuracy of the share of class 0.
# Versions: keras 3.15.1 with its JAX backend, jax 0.10.2.
# Source: keras/src/backend/jax/math.py, `in_top_k`; the other backends agree about ties.
# Consequence: dead networks, float16 scores and one-bit classifiers look better in top-5 than they are. Rank with a rule for
#   ties, such as the index, and count scores that are not finite as wrong.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2
cat > "$folder/score.py" <<'PYTHON'
import sys

import keras
import numpy as np

labels = np.arange(1000)
metrics = {"top-1": keras.metrics.SparseCategoricalAccuracy, "top-5": keras.metrics.SparseTopKCategoricalAccuracy}
found = {}
for case, score in {"equal": 0.0, "NaN": np.nan}.items():
    for name, metric in metrics.items():
        found[case, name] = float(metric()(labels, np.full((1000, 1000), score, "float32")))
        print(f"accuracy of 1,000 images, one of each class, all scores {case}: {name} {found[case, name]:.3f}")
expected = {("equal", "top-1"): 0.001, ("equal", "top-5"): 1.0, ("NaN", "top-1"): 0.001}
sys.exit(0 if all(abs(found[key] - value) < 1e-6 for key, value in expected.items()) else 1)
PYTHON
KERAS_BACKEND=jax "$folder/venv/bin/python" "$folder/score.py"
