"""The soak of `scripts/soak.py` in short: nothing fails, and no descriptor or thread is left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "soak.py"


def test_a_short_soak() -> None:
    command = [sys.executable, str(SCRIPT), "--calls", "4000", "--loads", "40", "--fork-every", "100"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4000 calls, 40 loads, 40 forks" in done.stdout
