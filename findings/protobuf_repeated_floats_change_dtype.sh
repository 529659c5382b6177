#!/usr/bin/env bash
# What most expect: `np.array(message.values)` of a `repeated float` field gives the same array with every protobuf.
# What happens: protobuf 5 gives float64, value by value; protobuf 7 hands over its buffer, and gives float32. Arithmetic,
#   files and memory that follow differ by a factor of two, and so does the time, by far more.
# Versions: protobuf 5.29.6 and 7.36.2, numpy 2.4.6.
# Source: run here.
# Consequence: whoever reads weights out of protocol buffers (Caffe, ONNX) must name the dtype: np.array(values, "float32").
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/read.py" <<'PYTHON'
import time

import google.protobuf
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

file = descriptor_pb2.FileDescriptorProto(name="blob.proto", package="blob", syntax="proto2")
file.message_type.add(name="Blob").field.add(name="values", number=1, type=2, label=3)  # repeated float
pool = descriptor_pool.DescriptorPool()
pool.Add(file)
blob = message_factory.GetMessageClass(pool.FindMessageTypeByName("blob.Blob"))()
blob.values.extend([0.5] * 1_000_000)
start = time.perf_counter()
array = np.array(blob.values)
print(f"protobuf {google.protobuf.__version__}: {array.dtype}, {1000 * (time.perf_counter() - start):.1f} ms for a million")
PYTHON
for version in 5.29.6 7.36.2; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "protobuf==$version" numpy==2.4.6
    "$folder/$version/bin/python" "$folder/read.py" | tee "$folder/$version.txt"
done
grep -q float64 "$folder/5.29.6.txt" && grep -q float32 "$folder/7.36.2.txt"
