#!/usr/bin/env bash
# What most expect: a positional argument without a default must be given; a program without it is refused.
# What happens: with tyro, a positional `tuple[Path, ...]` without a default is silently () where nothing is given, while a
#   positional `Path` beside it is refused.
# Versions: tyro 1.0.17.
# Source: run here.
# Consequence: a program that takes "one or more files" does nothing, successfully, when the user forgets them: check it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tyro==1.0.17
cat > "$folder/program.py" <<'PYTHON'
import contextlib
import dataclasses
import io
import sys
from pathlib import Path

import tyro
from tyro.conf import Positional


@dataclasses.dataclass
class Many:
    files: Positional[tuple[Path, ...]]


@dataclasses.dataclass
class One:
    file: Positional[Path]


def status(kind):
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        try:
            return repr(tyro.cli(kind, args=[]))
        except SystemExit as stop:
            return f"refused with status {stop.code}"


many, one = status(Many), status(One)
print(f"no word given: tuple[Path, ...] -> {many}; Path -> {one}")
sys.exit(0 if many == "Many(files=())" and one.startswith("refused") else 1)
PYTHON
"$folder/venv/bin/python" "$folder/program.py"
