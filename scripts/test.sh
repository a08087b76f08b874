#!/usr/bin/env bash
# Set everything up and run all tests: lit (passes and tools), then pytest (API, models). Arguments go to pytest.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
lit -j2 --show-unsupported test
# On both cores of a small machine; a file's tests stay together, since they share what they compiled. The longest files
# come first (conftest.py).
exec python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder "$@"
