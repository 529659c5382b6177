#!/bin/bash
# What to type on a TPU VM, on every host of its slice; the second call continues where the first stopped. With JAX.
#
#     recipes/cluster/tpu_vm.sh RECIPE DIRECTORY DATA [FLAGS]
#     recipes/cluster/tpu_vm.sh cifar10-resnet110 runs/resnet110 data --training.precision mixed_bfloat16
#
# Not run where it was written, for want of a TPU. Whether a recipe fits a slice, and how fast it can be, is told without
# one by python recipes/preflight.py RECIPE --topology v5e:4x4.
#
# JAX takes the TPU from the wheel libtpu, on a plain image. TensorFlow ends earlier: tensorflow-tpu 2.19.1 is what Keras
# calls the last that supports TPUs; see docs/training.md.
set -euo pipefail

usage="usage: tpu_vm.sh RECIPE DIRECTORY DATA [FLAGS]"
recipe=${1:?$usage} directory=${2:?$usage} data=${3:?$usage}
shift 3
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=.venv-tpu/bin/python

# The package wants Python 3.11 or newer; PYTHON says where it is.
if [ ! -x "$python" ]; then
    "${PYTHON:-python3.11}" -m venv .venv-tpu
    "$python" -m pip install --editable '.[tpu,recipes,remote]'
fi

export KERAS_BACKEND=jax

# 75 means: type it again. A TPU VM that is preempted is gone, and DIRECTORY with it; with the flag
# --run.checkpoint-directory gs://BUCKET/PATH another one continues, and writes the record anew from the checkpoint.
exec "$python" recipes/train.py "$recipe" \
    --run.strategy tpu --run.directory "$directory" --run.data-directory "$data" --run.resume "$@"
