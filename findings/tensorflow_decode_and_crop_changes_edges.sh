#!/usr/bin/env bash
# What most expect: `tf.io.decode_and_crop_jpeg` gives the pixels of `tf.io.decode_jpeg` and a slice, only faster. Its
#   documentation says that it is equivalent to the two.
# What happens: in JPEGs with subsampled colors (4:2:0, as nearly all photographs), about half of all windows have another first
#   or last column. The colors of those columns are interpolated without the neighbors outside of the window. The difference grows
#   with the detail of the picture: a few levels where it is smooth, dozens at sharp edges of color. 4:4:4 is exact.
# Versions: tensorflow 2.21.0 on a CPU, dct_method="INTEGER_ACCURATE" on both sides.
# Source: run here; docstring of `tf.io.decode_and_crop_jpeg`.
# Consequence: the usual input of ImageNet (the fused operation) and one that decodes once, or decodes by another library, do not
#   give the same images, though both are exact elsewhere. A test of "the same pixels" has to leave out the outermost columns, or
#   decode a window that is wider than wanted and cut it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow==2.21.0
cat > "$folder/crop.py" <<'PYTHON'
import sys

import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
WINDOWS = [(*rng.integers(0, 256, 2), *rng.integers(8, 257, 2)) for _ in range(60)]
seen = {}
for detail in (2, 8, 32):
    coarse = rng.integers(0, 256, (512 // detail, 512 // detail, 3))
    picture = tf.cast(tf.clip_by_value(tf.image.resize(coarse, (512, 512), "bicubic"), 0, 255), tf.uint8)
    for subsampled in (True, False):
        jpeg = tf.io.encode_jpeg(picture, quality=95, chroma_downsampling=subsampled)
        whole = tf.io.decode_jpeg(jpeg, dct_method="INTEGER_ACCURATE").numpy().astype(int)
        columns, largest, windows = set(), 0, 0
        for y, x, height, width in WINDOWS:
            window = [int(side) for side in (y, x, height, width)]
            cut = tf.io.decode_and_crop_jpeg(jpeg, window, dct_method="INTEGER_ACCURATE").numpy().astype(int)
            difference = np.abs(cut - whole[y : y + height, x : x + width])
            windows += int(difference.any())
            largest = max(largest, int(difference.max()))
            columns |= {"first" if c == 0 else "last" if c == width - 1 else "inner" for c in difference.any((0, 2)).nonzero()[0]}
        seen[detail, subsampled] = windows, largest, columns
        kind = "4:2:0" if subsampled else "4:4:4"
        print(f"detail of {detail:2} pixels, {kind}: {windows} of 60 windows differ, by up to {largest}, columns: {sorted(columns)}")
edges = all(seen[detail, True][0] > 15 and seen[detail, True][2] == {"first", "last"} for detail in (2, 8, 32))
exact = all(seen[detail, False][0] == 0 for detail in (2, 8, 32))
sys.exit(0 if edges and exact and seen[2, True][1] > 30 else 1)
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/crop.py" 2> "$folder/log"
