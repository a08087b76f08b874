"""What a tool imports when it starts: `terrace-opt` must not pay the seconds that torch takes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "iree", "torch_mlir.fx", "pytest")

PROBE = """
import json, sys
from terrace.tools.opt import main
code = main(json.loads(sys.argv[1]))
print("modules:", json.dumps(sorted(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


def modules_after(arguments: list[str], stdin: str) -> set[str]:
    """The modules that a run of terrace-opt imported."""
    result = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stderr.rpartition("modules:")[2]))


@pytest.mark.parametrize("arguments", [["--canonicalize"], ["--help"], ["--fold-batch-norm"]])
def test_terrace_opt_imports_nothing_heavy(arguments: list[str]) -> None:
    modules = modules_after(arguments, "func.func @f() { return }")
    assert not modules.intersection(HEAVY)


def test_passes_that_are_not_used_are_not_imported() -> None:
    modules = modules_after(["--canonicalize"], "func.func @f() { return }")
    assert not [name for name in modules if name.startswith("terrace.lowering.conversion.")]
