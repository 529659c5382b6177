#!/bin/bash
# What to type on a TPU VM with the chips of one host, such as v5e-8; the second call continues where the first stopped.
#
#     recipes/cluster/tpu_vm.sh RECIPE DIRECTORY DATA [FLAGS]
#     recipes/cluster/tpu_vm.sh cifar10-resnet110 runs/resnet110 data --training.precision mixed_bfloat16
#
# Not run where it was written, for want of a TPU. What was known, in November 2026:
#
# - tensorflow-tpu 2.19.1 is what Keras installs for TPUs; its requirements-tensorflow-tpu.txt calls it the last
#   TensorFlow that supports them. It wants libtpu 0.0.10 and NumPy below 2.2 (metadata of the wheel). A wheel 2.20.0
#   exists, with libtpu 0.0.14 or a patch of it; no document that we know says that it is supported. There is no 2.21.
# - The page "TPU software versions" of Cloud TPU ends with TensorFlow 2.18.0, in images named tpu-vm-tf-2.18.0-pjrt.
#   An import of TensorFlow that crashed was reported of them (tensorflow/tensorflow issue 82208), hence a plain image
#   and the wheel: v2-alpha-tpuv6e for v6e, v2-alpha-tpuv5 for v5p, v2-alpha-tpuv5-lite for v5e, tpu-ubuntu2204-base
#   for v4 and older. The Cloud TPU interface does not offer TPU7x.
# - Keras tests TPUs with the JAX backend only. The networks run on it, too; this training loop does not.
set -euo pipefail

usage="usage: tpu_vm.sh RECIPE DIRECTORY DATA [FLAGS]"
recipe=${1:?$usage} directory=${2:?$usage} data=${3:?$usage}
shift 3
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=.venv-tpu/bin/python

# The package wants Python 3.11 or 3.12; PYTHON says where it is. tensorflow and tensorflow-tpu are the same modules, so
# the former must not come in as a requirement of this package: its other requirements are named here.
if [ ! -x "$python" ]; then
    "${PYTHON:-python3.11}" -m venv .venv-tpu
    "$python" -m pip install "tensorflow-tpu==2.19.1" "keras>=3.12" wrapt tyro \
        importlib-resources matplotlib pillow scikit-learn scipy tensorboard tensorflow-datasets \
        fsspec gcsfs
    "$python" -m pip install --no-deps --editable .
fi

# "local": the chips of this host.
export TPU_NAME=${TPU_NAME:-local}

# 75 means: type it again. A TPU VM that is preempted is gone, and DIRECTORY with it; with the flag
# --run.checkpoint-directory gs://BUCKET/PATH another one continues, and writes the record anew from the checkpoint.
exec "$python" recipes/train.py "$recipe" \
    --run.strategy tpu --run.directory "$directory" --run.data-directory "$data" --run.resume "$@"
