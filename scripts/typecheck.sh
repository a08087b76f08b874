#!/usr/bin/env bash
# Run mypy over the whole package. mypy cannot follow the mapping of package names to folders that pyproject.toml
# makes (nor can it through an editable install), so it is shown the same tree made of links.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tree="$root/build/typed/terrace"
rm -rf "$tree"
mkdir -p "$tree"
ln -s "$root"/python/terrace/* "$root/dialects" "$root/lowering" "$root/tools" "$tree"
cd "$root"
MYPYPATH="$root/build/typed" exec "${PYTHON:-python}" -m mypy --package terrace "$@"
