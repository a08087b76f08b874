#!/usr/bin/env bash
# Set everything up and run all tests: lit (passes and tools), then pytest (API, models). Arguments go to pytest.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
lit -j2 --show-unsupported test
exec python -m pytest "$@"
