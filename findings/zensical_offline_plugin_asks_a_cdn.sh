#!/usr/bin/env bash
# What most expect: a site built with the `offline` plugin asks nobody for anything.
# What happens: the plugin itself adds a script of a public content network to every page.
# Versions: zensical 0.0.73.
# Source: run here.
# Consequence: pages that must work without a network, or must not tell a third party of their readers, are better built
#   without that plugin: served by any web server on the same host they are complete.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check zensical==0.0.73
for plugin in search offline; do
    mkdir -p "$folder/$plugin/docs"
    cd "$folder/$plugin"
    printf 'site_name: Probe\ntheme:\n  font: false\nplugins:\n  - search\n' > mkdocs.yml
    [ "$plugin" = offline ] && printf '  - offline\n' >> mkdocs.yml
    printf '# Probe\n' > docs/index.md
    "$folder/venv/bin/zensical" build --clean > /dev/null
    { grep -rhoE '<script[^>]*src="?https?://[^" >]*' site --include=*.html || true; } | sort | uniq -c > scripts.txt
    echo "scripts of other hosts with the plugin $plugin:"
    cat scripts.txt
done
[ ! -s "$folder/search/scripts.txt" ] && [ -s "$folder/offline/scripts.txt" ]
