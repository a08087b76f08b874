#!/usr/bin/env bash
# Test the committed state under other Pythons, each in a clone of its own under build/: lit, then pytest.
# Usage: scripts/other_pythons.sh [PYTHON...] [-- ARGUMENTS OF PYTEST]; without PYTHON, those of python3.12 and
# python3.13 that are there.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

pythons=()
while (($#)) && [[ $1 != -- ]]; do
    pythons+=("$1")
    shift
done
(($#)) && shift
if ((!${#pythons[@]})); then
    for python in python3.12 python3.13; do
        if "$python" -c '' 2>/dev/null; then pythons+=("$python"); fi
    done
fi
if ((!${#pythons[@]})); then
    echo "there is no python3.12 and no python3.13; name others: scripts/other_pythons.sh /path/to/python" >&2
    exit 1
fi
failed=()
for python in "${pythons[@]}"; do
    version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    clone="$root/build/$version"
    rm -rf "$clone"
    git clone --quiet "$root" "$clone"
    echo "== $version" >&2
    (cd "$clone" && PYTHON=$(command -v "$python") scripts/test.sh "$@") || failed+=("$version")
done
if ((${#failed[@]})); then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
