#!/usr/bin/env bash
# Set everything up, compile ResNet-18, run it, and print the comparison with PyTorch and the compile report.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
exec python examples/quickstart.py "$@"
