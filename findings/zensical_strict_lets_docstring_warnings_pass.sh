#!/usr/bin/env bash
# What most expect: `zensical build --strict` fails where `mkdocs build --strict` fails, warnings of mkdocstrings included.
# What happens: it counts links alone. A docstring that documents an argument which the function does not have is warned of
#   on standard error, and the exit status is 0.
# Versions: zensical 0.0.73, mkdocstrings-python 2.0.11.
# Source: run here.
# Consequence: a continuous integration that trusts the exit status publishes a reference that griffe calls wrong: read what
#   standard error says as well.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check zensical==0.0.73 mkdocstrings-python==2.0.11
mkdir -p "$folder/site/docs"
cd "$folder/site"
cat > mkdocs.yml <<'YAML'
site_name: Probe
plugins:
  - mkdocstrings:
      handlers:
        python:
          paths: [.]
YAML
printf 'def double(x):\n    """Twice a number.\n\n    Args:\n        y: There is no such argument.\n    """\n    return 2 * x\n' > probe.py
printf '# Probe\n\n::: probe\n' > docs/index.md
status=0
"$folder/venv/bin/zensical" build --clean --strict > out.txt 2> err.txt || status=$?
echo "exit status of zensical build --strict: $status; its standard error:"
cat err.txt
[ "$status" -eq 0 ] && grep -qi "does not appear in the function signature" err.txt
