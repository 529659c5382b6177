#!/usr/bin/env bash
# What most expect: a file whose name was just written, listed and found can be removed, renamed and read by that name, as with
#   `os.remove` and `os.rename`.
# What happens: `rm`, `mv` and `cat` of fsspec take "*", "?" and "[" in a name for a pattern, even where a file of exactly that
#   name exists. With "a[1].npz" and "a1.npz", `rm("a[1].npz")` removes a1.npz and leaves a[1].npz; `mv` moves a1.npz away;
#   `cat` returns the content of a1.npz; `exists` says that there is a file "a[1].npz". `rm_file`, `cat_file` and `pipe_file`
#   take names. The local file system has its own `rm` and `mv`, which take names too, so that a test on it shows nothing.
# Versions: fsspec 2026.9.0. The memory file system has these methods from `AbstractFileSystem`.
# Source: fsspec/spec.py, `expand_path`, which is called by `rm`, `mv` (through `copy`) and `cat`; fsspec/asyn.py, on which the
#   file systems of object stores are built, has the same. fsspec's issue 838 is open about such names that are not found.
# Consequence: code that rotates checkpoints under names made of users' words removes other files. Call the methods that end in
#   `_file`, or refuse such names; `glob.escape` helps `rm` and `cat`, while `mv` of it makes a folder of the new name.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check fsspec==2026.9.0
cat > "$folder/names.py" <<'PYTHON'
import sys

import fsspec


def after(operation, protocol, root):
    """The files that are left, and what the operation returned, of a[1].npz and a1.npz."""
    files = fsspec.filesystem(protocol)
    files.makedirs(root)
    for name in ("a[1].npz", "a1.npz"):
        files.pipe_file(f"{root}/{name}", name.encode())
    answer = operation(files, f"{root}/a[1].npz", f"{root}/b.npz")
    left = sorted(path[len(files._strip_protocol(root)) + 1 :] for path in files.find(root))
    return left, list(answer.values()) if isinstance(answer, dict) else answer


operations = {
    "rm": lambda files, name, other: files.rm(name),
    "mv": lambda files, name, other: files.mv(name, other),
    "cat": lambda files, name, other: files.cat(name),
    "exists": lambda files, name, other: files.exists(name),
    "rm_file": lambda files, name, other: files.rm_file(name),
}
seen = {}
for number, (name, operation) in enumerate(operations.items()):
    for protocol, root in (("memory", f"/{number}"), ("file", f"{sys.argv[1]}/{number}")):
        seen[protocol, name] = left, answer = after(operation, protocol, root)
        print(f"{protocol}: {name}('a[1].npz') of a[1].npz and a1.npz: left {left}", "" if answer is None else answer)
wrong = seen["memory", "rm"][0] == ["a[1].npz"] and "a1.npz" not in seen["memory", "mv"][0]
wrong = wrong and seen["memory", "cat"][1] == [b"a1.npz"] and seen["memory", "exists"][1] is True
right = seen["file", "rm"][0] == seen["memory", "rm_file"][0] == ["a1.npz"]
sys.exit(0 if wrong and right else 1)
PYTHON
"$folder/venv/bin/python" "$folder/names.py" "$folder"
