#!/usr/bin/env bash
# What most expect: a model that is saved and read again computes what it computed before.
# What happens: `openvino.save_model` rounds float32 weights to float16 by default. A weight of 70,000 comes back as 65,504,
#   one of 1e-8 as 0, and all others with 11 bits.
# Versions: openvino 2026.4.1, numpy 2.4.6.
# Source: the argument `compress_to_fp16=True` of `openvino.save_model`.
# Consequence: compare the file's outputs, not those of the model in memory, and save with compress_to_fp16=False where
#   logits have to agree. Folding batch normalization makes large and small weights, and so makes this worse.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 numpy==2.4.6
cat > "$folder/save.py" <<'PYTHON'
import sys

import numpy as np
import openvino
from openvino import opset13

weights = np.array([1e-8, 70_000, 1 / 3], "float32")
images = opset13.parameter([3], np.float32)
model = openvino.Model([opset13.multiply(images, opset13.constant(weights))], [images])
core = openvino.Core()


def products(network):
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    return core.compile_model(network, "CPU", exact)(np.ones(3, "float32"))[0].copy()


def saved(**options):
    openvino.save_model(model, f"{sys.argv[1]}/model.xml", **options)
    return products(f"{sys.argv[1]}/model.xml")


in_memory, by_default, whole = products(model), saved(), saved(compress_to_fp16=False)
print("weights times 1 in memory:", in_memory)
print("saved and read again:", by_default)
print("with compress_to_fp16=False:", whole)
changed = by_default[0] == 0 and by_default[1] == 65_504 and by_default[2] != weights[2]
sys.exit(0 if changed and (in_memory == weights).all() and (whole == weights).all() else 1)
PYTHON
"$folder/venv/bin/python" "$folder/save.py" "$folder"
